"""Losses of Optax, ported: its own numbers."""

import numpy as np
import pytest

from port_cases import check

pytestmark = pytest.mark.cross
RNG = np.random.default_rng(0)


def test_half_squared_error() -> None:
    check("optax.l2_loss", {"y_true": RNG.normal(size=(4, 3)), "y_pred": RNG.normal(size=(4, 3))})
