"""Center loss for Keras: a layer, and a model that wraps a functional one."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend.common import global_state
from keras.src.backend.common.stateless_scope import in_stateless_scope
from keras.src.backend.common.symbolic_scope import in_symbolic_scope
from keras.src.losses.loss import scale_loss_for_distribution

import multiloss_keras as be
from multiloss import checks, state
from multiloss.center import CenterOptions, native_arrays, read_options, step, to_host, value_and_gradient
from multiloss.center_methods import CenterMethods, Lock
from multiloss_keras.fixed import FixedModel
from multiloss_keras.shapes import squeeze_trailing

_HAS_GRAPHS = keras.backend.backend() == "tensorflow"
"""A graph keeps to the variable that it was traced with."""


@keras.saving.register_keras_serializable(package="multiloss")
class CenterLoss(CenterMethods, keras.layers.Layer):
    """Center loss as a layer, called with `(labels, features)`; the centers are a non-trainable weight.

    Inside a model the centers move when the model trains (`fit`), and not in `evaluate` or `predict`. Called on its own
    it is a training-mode evaluation, as on the other backends, unless `training=False`.

    Args:
        options: as of `multiloss.get("center", ...)`: alpha, num_classes, feature_dim, centers_init, reduction, ...;
            `loss="island"` and the like make it another loss of the family, with that one's options.

    Example:
        >>> import multiloss.keras  # doctest: +SKIP
        >>> center = multiloss.keras.CenterLoss(num_classes=10, alpha=0.5)  # doctest: +SKIP
        >>> value = center(labels, features, training=True)  # doctest: +SKIP
    """

    backend = "keras"

    def __init__(self, *, name: str | None = None, dtype: Any = None, trainable: bool = False, **options: Any) -> None:
        keras.layers.Layer.__init__(self, name=name, dtype=dtype, trainable=trainable, autocast=False)
        self.supports_masking = True
        self.options = read_options(options)
        self._turn = Lock()
        self._table: Any = None
        self._in_graph = False
        self._is_made_anew = False
        self._agreed = False
        chosen, self._processes = self.options, self.options.process_group
        if self._processes is not None and keras.backend.backend() != "torch":
            raise ValueError(f"process_group is an option of Keras on torch, got it on {keras.backend.backend()}")
        if chosen.num_classes is not None and chosen.feature_dim is not None:
            self._set(self._first(chosen.num_classes, chosen.feature_dim), None)

    @classmethod
    def of(cls, chosen: CenterOptions) -> CenterLoss:
        """The layer of options that are read already."""
        config = chosen.config()
        config["loss"] = config.pop("name")
        if chosen.initial is not None and "centers_init" in config:
            config["centers_init"] = chosen.initial
        return cls(**config, process_group=chosen.process_group)

    def build(self, labels_shape: Any, features_shape: Any = None) -> None:
        """Make the table where the number of classes is known. (Features of length 0 the call refuses.)"""
        if self._table is None and self.options.num_classes is not None and features_shape[-1]:
            self._set(self._first(self.options.num_classes, features_shape[-1]), None)
        self.built = True

    def __call__(
        self,
        labels: Any,
        features: Any,
        sample_weight: Any = None,
        mask: Any = None,
        *,
        training: bool | None = None,
    ) -> Any:
        """The value; `training=None` is the mode of the model it is in, or True outside of any."""
        given = {"sample_weight": sample_weight, "mask": mask, "training": self._mode(training)}
        if not isinstance(labels, keras.KerasTensor):
            labels, features, given["sample_weight"], given["mask"] = native_arrays(
                be, labels, features, sample_weight, mask
            )
        # An explicit training=None would hide the mode of the model it is in.
        return super().__call__(labels, features, **{name: x for name, x in given.items() if x is not None})

    def _mode(self, training: bool | None) -> bool | None:
        context = global_state.get_global_attribute("current_call_ctx")
        # One that this layer has opened itself is what an interrupted call of it has left.
        if training is not None or (context is not None and getattr(context, "entry_layer", None) is not self):
            return training
        if not in_stateless_scope():
            return True
        if in_symbolic_scope():  # Keras only looks for shapes
            return None
        # Keras on JAX runs `model.call` itself, without the context that tells inner layers the mode.
        raise ValueError(
            "the center loss cannot see whether the model trains (Keras on JAX does not tell inner layers); "
            "pass it on in the model's call: center(labels, features, training=training)"
        )

    def call(
        self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None, training: bool | None = None
    ) -> Any:
        """The value with the centers from before; when training, they move once by Eq. 4."""
        moves = bool(training) and self.options.update == "auto"
        with self._alone():
            value, where_to, rows = self._step(labels, features, sample_weight, mask, moves)
            if where_to is not None:
                self._commit(where_to, rows)
        return value

    def _alone(self) -> Any:
        """As ever; none in code that is traced, nor for replicas that wait for each other."""
        return contextlib.nullcontext() if in_stateless_scope() or be.is_compiling() else self._turn

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """None: the value is of the whole batch."""

    def compute_output_spec(self, labels: Any, features: Any, *args: Any, **keywords: Any) -> Any:
        """A scalar, or one value per sample with `reduction="none"`."""
        per_sample = self.options.reduction == "none"
        return keras.KerasTensor(features.shape[:-1] if per_sample else (), dtype="float32")

    def update(self, labels: Any, features: Any, mask: Any = None) -> None:
        """Move the centers once by Eq. 4, whatever `update` says."""
        with self._alone():
            _, where_to, rows = self._step(labels, features, None, mask, True)
            self._commit(where_to, rows)

    def value_and_grad(
        self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None, *, training: bool = True,
        wrt: Any = "features",
    ) -> tuple[Any, Any]:  # fmt: skip
        """The value, and its gradient with respect to the features; when training, the centers move once."""
        if wrt not in ("features", ("features",), ["features"]):
            raise ValueError(f"wrt must be 'features' (centers get no gradient), got {wrt!r}")
        moves = training and self.options.update == "auto"
        with self._alone():
            arrays, trusted, group = self._checked((labels, features, sample_weight, mask), moves)
            table = ops.convert_to_tensor(self._table)
            value, gradient = value_and_gradient(be, self.options, table, *arrays, trusted=trusted, group=group)
            if moves:
                _, where_to, rows = step(be, self.options, table, *arrays, training=True, trusted=trusted, group=group)
                self._commit(where_to, rows)
        return value, gradient if isinstance(wrt, str) else (gradient,)

    def _ready(self, labels: Any, features: Any, sample_weight: Any, mask: Any) -> tuple[list[Any], bool]:
        """Checked native arrays, a table that fits them, and whether the labels are known to be in range."""
        labels, features, sample_weight, mask = native_arrays(be, labels, features, sample_weight, mask)
        rank = len(features.shape) - 1
        labels, sample_weight, mask = (
            None if x is None else squeeze_trailing(x, rank) for x in (labels, sample_weight, mask)
        )
        self._check(labels, features, sample_weight, mask, self._shape()[1])
        self._fit(labels, features, mask, True)
        return [labels, features, sample_weight, mask], self._labels_known(labels, mask, self._shape()[0])

    def _step(self, labels: Any, features: Any, sample_weight: Any, mask: Any, moves: bool) -> tuple[Any, Any, Any]:
        arrays, trusted, group = self._checked((labels, features, sample_weight, mask), moves)
        self._in_graph = self._in_graph or (_HAS_GRAPHS and be.host(arrays[0]) is None)
        table = ops.convert_to_tensor(self._table)
        return step(be, self.options, table, *arrays, training=moves, trusted=trusted, group=group)

    def _checked(self, given: tuple[Any, ...], moves: bool) -> tuple[list[Any], bool, Any]:
        """Arrays, whether the labels are known to be in range, and what the centers move together with."""
        if not moves:
            return (*self._ready(*given), None)
        be.refuse_recomputation()
        # In such a scope Keras on torch only looks for shapes.
        group: Any = None if in_stateless_scope() else be.group(getattr(self._table, "value", None), self._processes)
        if not hasattr(group, "check"):
            return (*self._ready(*given), group)
        arrays, trusted = group.check(
            self.options,
            lambda: self._ready(*given),
            lambda: self._table.value,
            self._shape,
            None if self._agreed else lambda: be.inner.checksum(self._host_centers()),
        )
        self._agreed = True
        return arrays, trusted, group

    def rematerialized_call(self, layer_call: Any, *args: Any, **keywords: Any) -> Any:
        """The call itself: under `keras.RematScope` a layer that moves its centers is not computed twice."""
        return layer_call

    def _commit(self, labels: Any, rows: Any) -> None:
        rows = be.xp.stop_gradient(rows)
        if be.write_rows is not None and not in_stateless_scope():
            be.write_rows(self._table.value, labels, rows)
        else:
            self._table.assign(be.xp.put_rows(self._table.value, labels, rows))

    def _shape(self) -> tuple[int, int]:
        return (0, 0) if self._table is None else tuple(self._table.shape)

    def load_own_variables(self, store: Any) -> None:
        """As Keras does; the processes of a group then compare their centers once more."""
        self._agreed = False
        super().load_own_variables(store)

    def _set(self, centers: np.ndarray, like: Any) -> None:
        self._agreed = False
        if self._table is not None and tuple(self._table.shape) == centers.shape:
            self._table.assign(centers)
            return
        if self._table is not None:
            if self._in_graph and not self._is_made_anew:
                warnings.warn(
                    "the table of centers has another shape now; what was compiled before (fit, on TensorFlow) keeps "
                    "to the old one, and gives nan from now on: call model.compile again before fit",
                    stacklevel=5,
                )
                self._table.assign(ops.full(self._table.shape, np.nan))
                self._in_graph = False
            self._untrack_variable(self._table)
        self._tracker.unlock()
        # autocast=False: under mixed precision the centers would read as float16.
        self._table = self.add_weight(
            shape=centers.shape,
            initializer="zeros"
            if state.is_zeros(centers)
            else lambda shape, dtype: ops.convert_to_tensor(centers, dtype=dtype),
            dtype="float64" if like is not None and "float64" in str(like.dtype) else "float32",
            trainable=False,
            autocast=False,
            name="centers",
        )

    def _dtype(self) -> str:
        return str(self._table.dtype)

    def _host_centers(self) -> np.ndarray:
        return np.zeros((0, 0)) if self._table is None else np.array(to_host(self._table.value))

    @property
    def centers(self) -> Any:
        """A copy of the centers, (num_classes, feature_dim), as a tensor; (0, 0) until known. `center.centers = array`
        sets them. (Not a write into the copy, which torch, without read-only tensors, would let happen.)"""
        if self._table is None:
            return ops.zeros((0, 0))
        with self._alone():
            return ops.copy(self._table)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` takes; the centers are a weight and saved as such."""
        options = self.options.config()
        options["loss"] = options.pop("name")
        if self._table is not None and "num_classes" in options:
            options["num_classes"], options["feature_dim"] = self._shape()
        return {"name": self.name} | options


@keras.saving.register_keras_serializable(package="multiloss")
class WithCenterLoss(FixedModel, keras.Model):
    """A functional model whose training adds `weight` x center loss of one of its layers to the compiled loss.

    Args:
        model: a functional or sequential model with one output.
        features: name of the layer whose output, (N, D), the center loss takes.
        num_classes: number of classes; the targets are labels (N,), (N, 1) or one-hot (N, num_classes).
        weight: lambda, what the center loss is multiplied with.
        alpha: the step of the centers, in [0, 1]; None: the loss's default.
        loss_options: those of a loss of the family (`loss="island"` and the like), a `weight` of its own among them.
        options: further ones of `multiloss.get("center", ...)`.

    Example:
        >>> model = WithCenterLoss(cnn, features="features", num_classes=10, weight=0.05)  # doctest: +SKIP
        >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))  # doctest: +SKIP
        >>> model.fit(x, y)  # doctest: +SKIP
    """

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
        self.weight = float(weight)
        if alpha is not None:
            options["alpha"] = alpha
        if options.get("loss") != "ring":  # which has one radius for all classes
            options |= {"num_classes": num_classes, "feature_dim": found.shape[-1]}
        self.center = CenterLoss(name="center", **options, **(loss_options or {}))
        self._num_classes = num_classes
        self._both = keras.Model(ends[0], [ends[1], found])
        self.center._is_made_anew = True  # what `fit` compiles, by this model
        self._made_for: dict[str, tuple[int, ...]] = {}
        self._seen: Any = None
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The output of the model."""
        outputs, features = self._both(inputs, training=training)
        # `compute_loss` follows in the same step (and trace); Keras hands it outputs only.
        self._seen = features
        return outputs

    def rematerialized_call(self, layer_call: Any, *args: Any, **keywords: Any) -> Any:
        """The call itself: under `keras.RematScope` the layers of the model are computed again, each on its own, and
        what is kept for `compute_loss` is not of a computation that is thrown away."""
        return layer_call

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The compiled loss + weight x center loss; the centers move when training."""
        base = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        features, self._seen = self._seen, None
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight)
        labels = class_labels(y, self._classes())
        value = self.center(labels, features, sample_weight=sample_weight, training=bool(training))
        if self.center.options.reduction != "sum":
            value = scale_loss_for_distribution(value)  # as Keras scales the compiled loss
        return base + self.weight * ops.cast(value, base.dtype)

    def make_train_function(self, force: bool = False) -> Any:
        """As Keras does; anew where the centers have another shape than when it was made."""
        return super().make_train_function(force or self._is_stale("train"))

    def make_test_function(self, force: bool = False) -> Any:
        """As Keras does; anew where the centers have another shape than when it was made."""
        return super().make_test_function(force or self._is_stale("test"))

    def _is_stale(self, name: str) -> bool:
        shape = self.center._shape()  # `centers` would be a copy
        before, self._made_for = self._made_for, self._made_for | {name: shape}
        return before.get(name, shape) != shape

    def _classes(self) -> Any:
        """How many there are now; the radius of ring loss does not tell."""
        return self._num_classes if self.center.options.loss == "ring" else self.center.options.num_classes

    @property
    def centers(self) -> Any:
        """The centers, (num_classes, feature_dim)."""
        return self.center.centers

    def get_config(self) -> dict[str, Any]:
        """What `from_config` takes."""
        options = self.center.options.config()
        options["loss"] = options.pop("name")
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


def class_labels(y: Any, classes: int | None) -> Any:
    """Integer labels of the targets: labels as they are, one-hot ones by argmax; soft ones are refused."""
    y = be.asarray(y, None, "y")
    if len(y.shape) == 2 and y.shape[-1] == classes != 1:
        y = ops.cast(y, "int32") if be.kind(y) == "b" else y
        largest = ops.max(y, axis=-1)
        one_hot = (ops.cast(largest, "float32") == 1) & (ops.sum(ops.cast(y != 0, "int32"), axis=-1) == 1)
        values = be.host(one_hot)
        if values is not None and not values.all():
            raise ValueError(
                "center loss needs the class of each sample: y must be labels or one-hot, got soft targets"
            )
        # Where values cannot be read, a soft target becomes an impossible label: the value is nan, no center moves.
        return ops.where(one_hot, ops.cast(ops.argmax(y, axis=-1), "int32"), -1)
    if "float64" in str(y.dtype) and be.host(y) is None:
        # A tf.function that met int32 and int64 labels retraces with float64, which holds both exactly.
        whole = ops.cast(y, "int64")
        return ops.where(ops.cast(whole, "float64") == y, whole, -1)
    if be.kind(y) not in "iu":
        raise checks.label_dtype(y.dtype, "y")
    return y
