"""What both kinds of property tests use: reading arrays, comparing them, Hypothesis' settings."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings

# Single precision rounds at 6e-8; a formula of some twenty operations summed over the two dozen elements of the largest
# case stays below 2e-5 of the sum of its terms, a missing factor or sign does not.
TOLERANCE = 2e-5


def quiet(examples: int) -> Any:
    """The same examples every time, and no database."""
    return settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=[HealthCheck.too_slow], report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip


def host(x: Any) -> np.ndarray:
    """The values of any framework's array, in float64."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x
    return np.asarray(x).astype(np.float64)


def close(what: str, backend: str, got: np.ndarray, wanted: np.ndarray, scale: float, case: Any) -> None:
    """AssertionError where `got` is another shape, or further from `wanted` than rounding."""
    assert got.shape == wanted.shape, f"{what} on {backend}: shape {got.shape}, wanted {wanted.shape}, for {case}"
    off = float(np.max(np.abs(got - wanted), initial=0.0))
    assert off <= TOLERANCE * max(scale, 1.0), f"{what} on {backend}: {got}, wanted {wanted}, for {case}"
