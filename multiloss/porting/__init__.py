"""A written loss of PyTorch, Keras or Optax, the same numbers in another framework."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from multiloss import loss as losses
from multiloss.porting import objects, written
from multiloss.porting.rows import RefusedError, Rows, Source

__all__ = ["RefusedError", "port", "sources"]


@functools.cache
def sources() -> Rows:
    """Every loss of the three libraries, by canonical name."""
    from multiloss.porting import keras, optax, torch

    return torch.ROWS | keras.ROWS | optax.ROWS


def port(source: Any, to: str | None = None, *, targets: str = "labels") -> Any:
    """The loss here that gives the numbers of another library's.

    Args:
        source: a written form, "torch.nn.KLDivLoss(reduction='batchmean')", whose library need not be installed; or
            the object, class or function itself, or a `functools.partial` of it. The arrays that a function takes are
            left out of its written form.
        to: "numpy", "torch", "tensorflow", "jax" or "keras"; None takes it from the arrays at each call.
        targets: what `y_true` will be where the source takes both: integer "labels", or "probabilities".

    Returns:
        The loss of `multiloss.get`, which takes (y_true, y_pred), reduces as the source does and gives its values and
        gradients to float precision. `.source` is the written form, `.notes` the conventions that differ.

    Raises:
        ValueError: a name that no loss has (with the nearest ones), or what cannot be ported exactly, with the reason.
        TypeError: an argument that the source does not have.

    Example:
        >>> import multiloss
        >>> loss = multiloss.port("optax.l2_loss", to="numpy")
        >>> loss([[0.0, 0.0]], [[1.0, 2.0]]).tolist()
        [[0.5, 2.0]]
    """
    if targets not in ("labels", "probabilities"):
        raise ValueError(f"targets must be 'labels' or 'probabilities', got {targets!r}")
    found, arguments = resolve(source)
    row = found.to_row(arguments, targets)
    ported = losses.get(row.loss, backend=to, **row.options)
    ported.source, ported.notes = text_of(found, arguments), row.notes
    return ported


def resolve(source: Any) -> tuple[Source, dict[str, Any]]:
    """The source that a written form or an object is, and its arguments by name."""
    known = sources()
    if isinstance(source, str):
        name, args, kwargs = written.parse(source)
        found = known[written.canonical(name, known)]
        return found, found.arguments(args, kwargs)
    identified = objects.identify(source, known)
    if identified is None:
        kind = source if isinstance(source, type) else type(source)
        raise ValueError(
            f"source must be a loss of torch.nn, keras.losses or optax.losses, or its written form; "
            f"got {kind.__module__}.{kind.__qualname__}"
        )
    name, kwargs = identified
    return known[name], known[name].arguments((), kwargs)


def text_of(source: Source, arguments: dict[str, Any]) -> str:
    """The written form."""
    usual = {name: parameter.default for name, parameter in source.parameters.items()}
    given = {name: _literal(value) for name, value in arguments.items()}
    listed = ", ".join(f"{name}={given[name]!r}" for name in usual if name in given and given[name] != usual[name])
    return f"{source.name}({listed})" if source.is_class or listed else source.name


def _literal(value: Any) -> Any:
    if hasattr(value, "numpy") and not hasattr(value, "tolist"):
        value = value.numpy()
    if inspect.isroutine(value):  # `reduce_fn=jnp.mean`
        return value.__name__
    return value.tolist() if hasattr(value, "tolist") else value
