"""Center loss for Flax NNX. Importing this module imports Flax."""

from multiloss import dispatch

dispatch.backend("jax")

from multiloss_jax.flax import CenterLoss  # noqa: E402  (JAX is known to be there now)

__all__ = ["CenterLoss"]
