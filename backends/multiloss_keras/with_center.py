"""A Keras model that trains with center loss: it wraps a functional one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import keras
from keras import ops

from multiloss.center import all_names
from multiloss.engine import registry
from multiloss.engine.objects import FixedOptions, with_options
from multiloss_keras import arrays as be
from multiloss_keras.center import CenterLoss
from multiloss_keras.step_number import StepNumber
from multiloss_keras.targets import class_labels


@keras.saving.register_keras_serializable(package="multiloss")
@with_options(all_names() - {"weight"})
class WithCenterLoss(FixedOptions, keras.Model):
    """A functional model whose training adds `weight` x center loss of one of its layers to the compiled loss.

    Args:
        model: a functional or sequential model with one output.
        features: name of the layer whose output, (N, D), the center loss takes.
        num_classes: number of classes; the targets are labels (N,), (N, 1) or one-hot (N, num_classes).
        weight: lambda, the factor of the center loss; `model.weight` may be set later, in a callback, too.
        alpha: the step of the centers, in [0, 1]; None: the loss's default.
        loss_options: those of a loss of the family (`loss="island"` and the like), a `weight` of its own among them.
        options: further ones of `multiloss.get("center", ...)`.

    Example:
        >>> model = WithCenterLoss(cnn, features="features", num_classes=10, weight=0.05)  # doctest: +SKIP
        >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))  # doctest: +SKIP
        >>> model.fit(x, y)  # doctest: +SKIP
    """

    weight = StepNumber()

    def __init__(
        self,
        model: keras.Model,
        features: str,
        num_classes: int,
        weight: float = 0.05,
        alpha: float | None = None,
        name: str | None = None,
        loss_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name=name)
        if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
            raise TypeError(
                f"model must be a functional keras.Model, or a Sequential that starts with keras.Input, got "
                f"{type(model).__name__}"
            )
        names = [layer.name for layer in model.layers]
        if features not in names:
            raise ValueError(f"features must name a layer of the model ({', '.join(names)}), got {features!r}")
        ends = (
            (model.inputs[0], model.outputs[0]) if isinstance(model, keras.Sequential) else (model.input, model.output)
        )
        if isinstance(ends[1], (list, tuple, dict)):
            raise ValueError("model must have one output, whose targets name the classes")
        found = model.get_layer(features).output
        if len(found.shape) != 2 or found.shape[-1] is None:
            raise ValueError(f"layer {features!r} must give feature vectors (N, D), got shape {found.shape}")
        self.model = model
        self.features = features
        self.weight = weight
        if alpha is not None:
            options["alpha"] = alpha
        table: Any = registry.TABLES[options.get("loss", "center")].table
        if not table.one_row:
            options |= {"num_classes": num_classes, "feature_dim": found.shape[-1]}
        self.center: Any = CenterLoss(name="center", **options, **(loss_options or {}))
        self._num_classes = num_classes
        self._both = keras.Model(ends[0], [ends[1], found])
        self.center._is_made_anew = True  # this model compiles `fit` anew by itself
        self._made_for: dict[str, tuple[int, ...]] = {}
        self._seen: Any = None
        self.built = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "centers":
            self.center.centers = value
        else:
            super().__setattr__(name, value)

    def _options(self) -> Mapping[str, Any]:
        center = getattr(self, "center", None)
        # `weight` is the model's own, and `loss` what it is compiled with.
        return {} if center is None else {name: x for name, x in center._options().items() if name != "weight"}

    def _fixed(self) -> Collection[str]:
        center = getattr(self, "center", None)
        # `weight` is the model's own, and `loss` what it is compiled with.
        return () if center is None else {*center._fixed(), "features"} - {"weight", "loss"}

    def _instead(self, name: str, value: str) -> str:
        if name in ("num_classes", "centers_init"):
            return f"model.{self.center._instead(name, value)}"
        return f"make a new one: multiloss.keras.WithCenterLoss(model.model, ..., {name}={value})"

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The output of the model."""
        outputs, features = self._both(inputs, training=training)
        # For `compute_loss`, which follows in the same step (and trace), and gets outputs only.
        self._seen = features
        return outputs

    def rematerialized_call(self, layer_call: Any, *args: Any, **keywords: Any) -> Any:
        """The call itself: under `keras.RematScope` each layer of the model is recomputed on its own, and the features
        kept for `compute_loss` do not come from a recomputation."""
        return layer_call

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The compiled loss + weight x center loss; the centers move when training."""
        base = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        features, self._seen = self._seen, None
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight)
        try:
            labels = class_labels(y, self._classes())
        except BaseException as error:
            labels, features, sample_weight, _ = self.center._in_place_of_bad_input(error)
        value = self.center(labels, features, sample_weight=sample_weight, training=bool(training))
        if self.center.options.reduction != "sum":
            value = be.of_replica(value)  # as Keras scales the compiled loss
        weight = WithCenterLoss.weight.variable(self)
        return base + ops.cast(weight, base.dtype) * ops.cast(value, base.dtype)

    def export(self, filepath: Any, *given: Any, **options: Any) -> None:
        """Export the wrapped model, which is what predicts; the arguments are those of `keras.Model.export`."""
        self.model.export(filepath, *given, **options)

    def save_own_variables(self, store: Any) -> None:
        """Nothing: `weight` is saved with the configuration."""

    def load_own_variables(self, store: Any) -> None:
        """Nothing."""

    def make_train_function(self, force: bool = False) -> Any:
        """As Keras does; anew if the shape of the centers has changed."""
        return super().make_train_function(force or self._is_stale("train"))

    def make_test_function(self, force: bool = False) -> Any:
        """As Keras does; anew if the shape of the centers has changed."""
        return super().make_test_function(force or self._is_stale("test"))

    def _is_stale(self, name: str) -> bool:
        shape = self.center._shape()  # `centers` would be a copy
        before, self._made_for = self._made_for, self._made_for | {name: shape}
        return before.get(name, shape) != shape

    def _classes(self) -> Any:
        """The number of classes now, which a single row for all does not tell."""
        return self._num_classes if self.center.options.table.one_row else self.center.options.num_classes

    @property
    def centers(self) -> Any:
        """The centers, (num_classes, feature_dim)."""
        return self.center.centers

    def get_config(self) -> dict[str, Any]:
        """What `from_config` takes."""
        options = self.center.options.given()
        for key in ("num_classes", "feature_dim"):
            options.pop(key, None)
        options["loss_options"] = {key: options.pop(key) for key, _ in self.center.options.own}
        options["num_classes"] = self._classes()
        model = keras.saving.serialize_keras_object(self.model)
        return {"name": self.name, "model": model, "features": self.features, "weight": self.weight} | options

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> WithCenterLoss:
        """The model that `get_config` described."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**(config | {"model": model}))
