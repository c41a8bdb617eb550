"""Errors, and what their messages say."""

import re
from typing import Any

import pytest


def says(error: type[Exception], *parts: str) -> Any:
    """`pytest.raises`, and every part is in the message, in this order."""
    return pytest.raises(error, match="(?s)" + ".*".join(map(re.escape, parts)))
