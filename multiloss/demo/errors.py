"""Mistakes of the user, as one line each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """A mistake of the user: the command line prints its one line, without a traceback."""


@contextmanager
def missing(what: str, *extras: str) -> Iterator[None]:
    """Turn a failing import inside the block into an error that names the extras to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("multiloss"):  # a bug of this library, not a missing package
            raise
        raise UserError(
            f"the demo needs {what} ({error.name} is not installed): pip install 'multiloss[{','.join(extras)}]'"
        ) from error
