"""Pictures of losses: curves over one number, and what pulls and pushes features (matplotlib, the extra `demo`)."""

from __future__ import annotations

import shutil
from typing import Any


def show(loss: Any) -> None:
    """Print the page of a loss: formula, inputs, options with their meanings, source, example and curve.

    Args:
        loss: a name or alias, or a loss that `multiloss.get` or `multiloss.register` made.

    Example:
        >>> import multiloss
        >>> multiloss.show("mse")
        mean_squared_error (regression)
        also called mse
        ...
    """
    from multiloss.pictures.page import page

    name = loss.config()["name"] if hasattr(loss, "config") else getattr(loss, "name", loss)
    if not isinstance(name, str):
        raise TypeError(f"loss must be a name such as 'huber' or a loss of multiloss, got {type(loss).__name__}")
    print(page(name, min(shutil.get_terminal_size((100, 24)).columns, 120)))
