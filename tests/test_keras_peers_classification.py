"""Losses that Keras has, too, against Keras' own functions, in double precision.

Not compared are Keras' own faults: probabilities at its clip of 1e-7, certain logits, labels that it converts.
"""

from typing import Any

import keras
import numpy as np
import pytest

from helpers.arrays import to_numpy
from helpers.losses import make

RNG = np.random.default_rng(3)
Z = 2 * RNG.normal(size=(5, 4))
UNIT = RNG.uniform(0.1, 0.9, size=(5, 4))
LABELS = RNG.integers(0, 4, size=5)
HOT = np.eye(4)[LABELS]
BITS = RNG.integers(0, 2, size=(5, 4)).astype(np.float64)
SIGNS = 2 * BITS - 1
K = keras.losses

PEERS: dict[str, tuple[str, dict[str, Any], Any, Any, Any]] = {
    "binary focal": ("binary_focal_crossentropy", {"alpha": 0.25, "gamma": 1.5, "label_smoothing": 0.1}, BITS, UNIT,
                     lambda t, p: K.binary_focal_crossentropy(t, p, apply_class_balancing=True, alpha=0.25, gamma=1.5,
                                                              label_smoothing=0.1)),
    "categorical focal": ("categorical_focal_crossentropy", {"alpha": 0.25, "normalize": True}, HOT, UNIT,
                          K.categorical_focal_crossentropy),
    "categorical focal, logits": ("categorical_focal_crossentropy",
                                  {"alpha": [1.0, 2.0, 3.0, 4.0], "gamma": 1.5, "from_logits": True}, HOT, Z,
                                  lambda t, p: K.categorical_focal_crossentropy(t, p, alpha=[1.0, 2.0, 3.0, 4.0],
                                                                                gamma=1.5, from_logits=True)),
    "hinge": ("hinge", {}, SIGNS, Z, K.hinge),
    "hinge of bits": ("hinge", {"labels": "01"}, BITS, Z, K.hinge),
    "squared hinge": ("squared_hinge", {}, SIGNS, Z, K.squared_hinge),
    "categorical hinge": ("categorical_hinge", {"keras": True}, HOT, Z, K.categorical_hinge),
    "generalized": ("generalized_cross_entropy", {"q": 0.5}, LABELS, UNIT,
                    lambda t, p: K.categorical_generalized_cross_entropy(t, p, q=0.5)),
}  # fmt: skip


@pytest.mark.parametrize("what", PEERS)
def test_classification(what: str) -> None:
    """The values of the samples."""
    name, options, y_true, y_pred, peer = PEERS[what]
    arrays = [keras.ops.convert_to_tensor(x, dtype=str(x.dtype)) for x in (y_true, y_pred)]
    loss = make("keras", name, "float64", reduction="none", **options)
    found = to_numpy(loss(*arrays))
    wanted = to_numpy(peer(*arrays))
    # Keras' mean on torch and JAX rounds double precision through single (rosetta, 0).
    tolerance = 1e-10 if keras.backend.backend() == "tensorflow" else 1e-6
    np.testing.assert_allclose(found, wanted, rtol=tolerance)
