"""Pictures of losses: curves over one number, and what pulls and pushes features (matplotlib, the extra `demo`)."""

from __future__ import annotations

import shutil
from typing import Any


def show(loss: Any) -> None:
    """Print the page of a loss: formula, inputs, options with their meanings, source, example and curve.

    Args:
        loss: a name or alias, or a loss that `multiloss.get` made.

    Example:
        >>> import multiloss
        >>> multiloss.show("mse")
        mean_squared_error (regression)
        also called mse
        ...
    """
    from multiloss.pictures.page import page

    name = loss if isinstance(loss, str) else loss.config()["name"]
    print(page(name, min(shutil.get_terminal_size((100, 24)).columns, 120)))
