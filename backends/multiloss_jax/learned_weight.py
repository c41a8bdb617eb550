"""Losses with a learned weight, as Flax NNX modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from multiloss.engine import learned_weight as owners
from multiloss.engine import options
from multiloss.engine.loss import Spec
from multiloss.engine.objects import with_options
from multiloss.engine.options import Count
from multiloss_jax import arrays as be
from multiloss_jax import compat
from multiloss_jax.objects import JaxLoss


@with_options(owners.option_names())
class WithWeight(owners.FixedSize, nnx.Module):
    """A loss of labels and features with a learned weight, one row for each class, as an `nnx.Param`.

    The weight is drawn Glorot-uniform, in float32, and computed with in float32 at least. `ArcFace`, `CosFace`,
    `SphereFace`, `ProxyNCA`, `ProxyAnchor` and `LinearCrossEntropy` are this class with its first argument given.

    Args:
        loss: its name, such as "arcface".
        num_classes: C, the number of classes.
        feature_dim: D, the length of a feature vector.
        bias: whether there is a bias (C,), too, zero at first (`linear_cross_entropy` only).
        rngs: what the weight is drawn with, by the stream "params".
        given: options of the loss, as of `multiloss.get`: scale, margin, reduction, ...

    Raises:
        ValueError: an unknown loss, or one without such a weight; a size below 1; an option out of range.
        TypeError: an unknown option; a size that is no integer; `rngs` that are none.

    Example:
        >>> import jax.numpy as jnp, multiloss.flax
        >>> from flax import nnx
        >>> loss = multiloss.flax.ArcFace(num_classes=10, feature_dim=4, scale=30.0, rngs=nnx.Rngs(0))
        >>> gradient = nnx.grad(lambda loss: loss(jnp.array([3, 7]), jnp.ones((2, 4))))(loss)
        >>> gradient["weight"].shape
        (10, 4)
    """

    def __init__(
        self,
        loss: str,
        num_classes: Count,
        feature_dim: Count,
        *,
        rngs: nnx.Rngs,
        bias: bool = False,
        **given: Any,
    ) -> None:
        feature_dim = options.as_declared(WithWeight.__init__, "feature_dim", feature_dim)
        made = owners.read(loss, num_classes, feature_dim, given, bias=bias)
        with_options(made.spec.kwargs)(WithWeight)  # a loss that was registered later
        if not isinstance(rngs, nnx.Rngs):
            raise TypeError(f"rngs must be nnx.Rngs, such as nnx.Rngs(0), got {type(rngs).__name__}")
        self.pure = compat.hidden_from_nnx(JaxLoss(made.spec))
        shape = made.num_classes, made.feature_dim
        self.weight = nnx.Param(nnx.initializers.glorot_uniform()(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(made.num_classes, jnp.float32)) if made.bias else None

    def _spec(self) -> Spec | None:
        return getattr(self.__dict__.get("pure"), "spec", None)

    def _sizes(self) -> Mapping[str, Any]:
        shape = self.weight.shape
        return {"num_classes": shape[0], "feature_dim": shape[1]}

    def __call__(self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None) -> Any:
        """The loss.

        Args:
            labels: integer classes in [0, C), (N,).
            features: (N, D).
            sample_weight: (N,), or None.
            mask: boolean, (N,), True keeps; or None.

        Returns:
            The reduced loss, differentiable by the features and the weight.

        Raises:
            ValueError: features of another width than the weight; a label outside [0, C), where it can be read.
            TypeError: labels that are no integers.
        """
        weight = self.weight[...]
        features = be.asarray(features, weight, "features")
        owners.check_width(features.shape, weight.shape[1])
        held = (weight,) if self.bias is None else (weight, self.bias[...])
        return self.pure(labels, features, *held, sample_weight=sample_weight, mask=mask)


ArcFace = owners.named(WithWeight, "arcface")
CosFace = owners.named(WithWeight, "cosface")
SphereFace = owners.named(WithWeight, "sphereface")
ProxyNCA = owners.named(WithWeight, "proxy_nca")
ProxyAnchor = owners.named(WithWeight, "proxy_anchor")
LinearCrossEntropy = owners.named(WithWeight, "linear_cross_entropy")
