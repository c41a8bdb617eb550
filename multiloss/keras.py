"""Losses with a state for Keras: center loss, and those that own a weight.

Importing this module imports Keras (and makes saved models with these objects loadable).
"""

from multiloss.engine import dispatch

dispatch.backend("keras")

from multiloss_keras.learned_weight import (  # noqa: E402
    ArcFace,
    CosFace,
    LinearCrossEntropy,
    ProxyAnchor,
    ProxyNCA,
    SphereFace,
    WithWeight,
)
from multiloss_keras.objects import CenterLoss, KerasLoss  # noqa: E402  (Keras is there now)
from multiloss_keras.with_center import WithCenterLoss  # noqa: E402

__all__ = [
    "ArcFace",
    "CenterLoss",
    "CosFace",
    "KerasLoss",
    "LinearCrossEntropy",
    "ProxyAnchor",
    "ProxyNCA",
    "SphereFace",
    "WithCenterLoss",
    "WithWeight",
]
