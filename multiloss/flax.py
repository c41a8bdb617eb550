"""Losses with a state for Flax NNX: center loss, and those that own a weight. Importing this module imports Flax."""

from multiloss.engine import dispatch

dispatch.backend("jax")

from multiloss_jax.flax import CenterLoss  # noqa: E402  (JAX is known to be there now)
from multiloss_jax.learned_weight import (  # noqa: E402
    ArcFace,
    CosFace,
    LinearCrossEntropy,
    ProxyAnchor,
    ProxyNCA,
    SphereFace,
    WithWeight,
)

__all__ = [
    "ArcFace",
    "CenterLoss",
    "CosFace",
    "LinearCrossEntropy",
    "ProxyAnchor",
    "ProxyNCA",
    "SphereFace",
    "WithWeight",
]
