"""Losses with a learned weight, as Keras layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import keras

from multiloss.engine import learned_weight as owners
from multiloss.engine import options
from multiloss.engine.loss import Spec, make
from multiloss.engine.objects import with_options
from multiloss.engine.options import Count
from multiloss_keras import arrays as be
from multiloss_keras import compat
from multiloss_keras.shapes import squeeze_trailing


@keras.saving.register_keras_serializable(package="multiloss")
@with_options(owners.option_names() | {"seed"})
class WithWeight(owners.FixedSize, keras.layers.Layer):
    """A loss of labels and features with a learned weight, one row for each class: a layer called with `(labels,
    features)`.

    It gives the loss. With `loss_weight` it adds loss_weight x loss to the losses of the model around it instead, and
    gives the features as they came: such a layer of a functional model needs no other loss.

    The weight is drawn Glorot-uniform, in float32 (float64 where that is the layer's dtype), and computed with in
    float32 at least, under mixed precision too. `ArcFace`, `CosFace`, `SphereFace`, `ProxyNCA`, `ProxyAnchor` and
    `LinearCrossEntropy` are this class with its first argument given.

    Args:
        loss: its name, such as "arcface".
        num_classes: C, the number of classes.
        feature_dim: D, the length of a feature vector; None takes it from the first features.
        bias: whether there is a bias (C,), too, zero at first (`linear_cross_entropy` only).
        loss_weight: lambda, the factor with which the loss is added to the model's; None: the layer gives the loss.
        seed: what the weight is drawn with; None: Keras' own generator (`keras.utils.set_random_seed`).
        given: options of the loss, as of `multiloss.get`: scale, margin, reduction, ...

    Raises:
        ValueError: an unknown loss, or one without such a weight; a size below 1; an option out of range.
        TypeError: an unknown option; a size that is no integer.

    Example:
        >>> import keras, multiloss.keras
        >>> x, y = keras.Input((4,)), keras.Input((), dtype="int32")
        >>> features = keras.layers.Dense(2)(x)
        >>> arcface = multiloss.keras.ArcFace(num_classes=10, loss_weight=1.0)
        >>> model = keras.Model([x, y], arcface(y, features))
        >>> model.compile("adam")  # and model.fit([x_train, y_train])
        >>> tuple(arcface.weight.shape)
        (10, 2)
    """

    def __init__(
        self,
        loss: str,
        num_classes: Count,
        feature_dim: Count | None = None,
        *,
        bias: bool = False,
        loss_weight: float | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        **given: Any,
    ) -> None:
        made = owners.read(loss, num_classes, feature_dim, given, bias=bias, seed=seed)
        with_options(made.spec.kwargs)(WithWeight)  # a loss that was registered later
        super().__init__(name=name or compat.numbered(made.spec.name), dtype=dtype, trainable=trainable, autocast=False)
        self.supports_masking = True
        self.made = made
        self._loss_weight = options.as_declared(WithWeight.__init__, "loss_weight", loss_weight)
        # The bound method, since Keras would wrap a module of torch, which the native loss may be.
        self._native = make(made.spec, be.inner.name).__call__
        self.weight: Any = None
        """The variable, (num_classes, feature_dim); None until the features are known."""
        self.bias: Any = None
        if made.feature_dim is not None:
            self._draw(made.feature_dim)

    @property
    def loss_weight(self) -> float | None:
        """Lambda. It is fixed when the layer is made, since a compiled step keeps the number of its trace."""
        return self._loss_weight

    @loss_weight.setter
    def loss_weight(self, loss_weight: Any) -> None:
        raise AttributeError(
            f"loss_weight is fixed when the layer is made, got {loss_weight!r}; make another layer, or leave it out "
            "and add the loss in the model's call, times a variable: self.add_loss(factor * layer(labels, features))"
        )

    def _spec(self) -> Spec | None:
        return getattr(self.__dict__.get("made"), "spec", None)

    def _sizes(self) -> Mapping[str, Any]:
        made, weight = self.made, self.__dict__.get("weight")
        dim = made.feature_dim if weight is None else weight.shape[1]
        own = {"loss_weight": self._loss_weight, "seed": made.seed}
        return {"num_classes": made.num_classes, "feature_dim": dim} | own

    def _fixed(self) -> Collection[str]:
        return () if self._spec() is None else (*super()._fixed(), "seed")

    def build(self, labels_shape: Any, features_shape: Any) -> None:
        """Draw the weight, if its width was not known before."""
        if self.weight is None:
            if not features_shape or features_shape[-1] is None:
                raise ValueError(f"features must have a known last axis, or pass feature_dim; got {features_shape}")
            self._draw(features_shape[-1])

    def _draw(self, feature_dim: int) -> None:
        # float32 at least, and autocast=False: under mixed precision the weight would read as float16.
        how = {"dtype": "float64" if self.variable_dtype == "float64" else "float32", "autocast": False}
        draw = keras.initializers.GlorotUniform(seed=self.made.seed)
        self.weight = self.add_weight((self.made.num_classes, feature_dim), draw, name="weight", **how)
        if self.made.bias:
            self.bias = self.add_weight((self.made.num_classes,), "zeros", name="bias", **how)

    def __call__(self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None, **keywords: Any) -> Any:
        """The loss, or with `loss_weight` the features.

        Args:
            labels: integer classes in [0, C), (N,) or (N, 1).
            features: (N, D).
            sample_weight: (N,), or None.
            mask: boolean, (N,), True keeps; None takes the one that Keras layers attached to the features.
            keywords: what Keras gives every layer, such as `training`.

        Returns:
            The reduced loss; with `loss_weight` the features.

        Raises:
            ValueError: features of another width than the weight; a label outside [0, C), where it can be read.
            TypeError: labels that are no integers.
        """
        given = {"labels": labels, "features": features, "sample_weight": sample_weight, "mask": mask}
        # As tensors now, since Keras would cast labels and take lists apart.
        ready = {
            name: x if isinstance(x, keras.KerasTensor) else be.asarray(x, None, name)
            for name, x in given.items()
            if x is not None
        }
        return super().__call__(ready.pop("labels"), ready.pop("features"), **ready, **keywords)

    def call(self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None) -> Any:
        """The loss, or with `loss_weight` the features."""
        owners.check_width(be.shape(features), self.weight.shape[1])
        mask = compat.mask_of(features) if mask is None else mask
        rank = len(be.shape(features)) - 1
        labels, sample_weight, mask = (
            None if x is None else squeeze_trailing(x, rank) for x in (labels, sample_weight, mask)
        )
        held = [be.asarray(x, None, "weight") for x in (self.weight, self.bias) if x is not None]
        value = self._native(labels, features, *held, sample_weight=sample_weight, mask=mask)
        if self.loss_weight is None:
            return value
        self.add_loss(self.loss_weight * value)
        return features

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """No mask: the value is that of the whole batch."""

    def compute_output_spec(self, labels: Any, features: Any, *args: Any, **keywords: Any) -> Any:
        """The features with `loss_weight`; else a scalar, or one value per sample with `reduction="none"`."""
        owners.check_width(features.shape, self.weight.shape[1])
        if self.loss_weight is not None:
            return keras.KerasTensor(features.shape, dtype=features.dtype)
        spec = self.made.spec
        per_sample = spec.reduction == "none" and not spec.definition.whole_batch
        dtype = "float64" if features.dtype == "float64" else "float32"
        return keras.KerasTensor(features.shape[:-1] if per_sample else (), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` takes; the weight is saved as such."""
        given = self.made.spec.config()
        own = {
            "loss": given.pop("name"),
            "num_classes": self.made.num_classes,
            "feature_dim": self.made.feature_dim,
            "bias": self.made.bias,
            "loss_weight": self.loss_weight,
            "seed": self.made.seed,
        }
        return super().get_config() | own | given


ArcFace = owners.named(WithWeight, "arcface")
CosFace = owners.named(WithWeight, "cosface")
SphereFace = owners.named(WithWeight, "sphereface")
ProxyNCA = owners.named(WithWeight, "proxy_nca")
ProxyAnchor = owners.named(WithWeight, "proxy_anchor")
LinearCrossEntropy = owners.named(WithWeight, "linear_cross_entropy")
