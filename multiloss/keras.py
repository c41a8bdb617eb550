"""Center loss for Keras. Importing this module imports Keras (and makes saved models with these objects loadable)."""

from multiloss import dispatch

dispatch.backend("keras")

from multiloss_keras.objects import CenterLoss, KerasLoss, WithCenterLoss  # noqa: E402  (Keras is there now)

__all__ = ["CenterLoss", "KerasLoss", "WithCenterLoss"]
