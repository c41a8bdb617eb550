"""Center loss for Keras: a layer."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from multiloss.center import CenterOptions, all_names, native_arrays, read_options, state, to_host
from multiloss.center.centers import Lock
from multiloss.center.objects import CenterMethods
from multiloss.engine.objects import with_options
from multiloss_keras import arrays as be
from multiloss_keras import compat
from multiloss_keras.shapes import squeeze_trailing

_HAS_GRAPHS = keras.backend.backend() == "tensorflow"
"""Whether code is compiled to graphs, which keep the variable that they were traced with."""


@keras.saving.register_keras_serializable(package="multiloss")
@with_options(all_names())
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
        """Whether all processes have the same centers, for all that is known (torch's `distributed.py`)."""
        self._bad_input: BaseException | None = None
        chosen = self.options
        if chosen.process_group is not None and be.choice is None:
            raise ValueError(f"process_group is an option of Keras on torch, got it on {keras.backend.backend()}")
        self._choice: Any = None if be.choice is None else be.choice(chosen.process_group)
        self._begin()

    @classmethod
    def of(cls, chosen: CenterOptions) -> CenterLoss:
        """The layer of options that are read already."""
        given = chosen.given()
        if chosen.initial is not None and "centers_init" in given:
            given["centers_init"] = chosen.initial
        return cls(**given, process_group=chosen.process_group)

    def build(self, labels_shape: Any, features_shape: Any = None) -> None:
        """Make the table if the number of classes is known. (The call refuses features of length 0.)"""
        if self._table is None:
            self._begin(features_shape[-1])
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
        """The value; `training=None` is the mode of the model around it, or True outside of any."""
        given = {"sample_weight": sample_weight, "mask": mask, "training": self._mode(training)}
        if not isinstance(labels, keras.KerasTensor):
            try:
                arrays = native_arrays(be, labels, features, sample_weight, mask)
            except BaseException as error:
                arrays = [*self._in_place_of_bad_input(error)]
            labels, features, given["sample_weight"], given["mask"] = arrays
        # An explicit training=None would hide the mode of the model around it.
        return super().__call__(labels, features, **{name: x for name, x in given.items() if x is not None})

    def _in_place_of_bad_input(self, error: BaseException) -> tuple[Any, ...]:
        """An empty batch, whose call raises the error, in all processes of a group if the centers move: only the call
        knows whether they do."""
        if self._choice is None or be.group(None, self._choice) is None:
            raise error
        self._bad_input = error
        return ops.zeros((0,), "int32"), ops.zeros((0, self._shape()[1])), None, None

    def _mode(self, training: bool | None) -> bool | None:
        if training is not None or compat.inside_a_call(self):
            return training
        if compat.in_stateless_scope() is False:
            return True
        if compat.in_symbolic_scope():  # Keras only asks for shapes
            return None
        # Keras on JAX runs `model.call` without the context that tells inner layers the mode.
        raise ValueError(
            "the center loss cannot see whether the model trains (Keras on JAX does not tell inner layers); "
            "pass it on in the model's call: center(labels, features, training=training)"
        )

    def call(
        self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None, training: bool | None = None
    ) -> Any:
        """The value with the centers from before; when training, they move once by Eq. 4."""
        return self._run((labels, features, sample_weight, mask), bool(training) and self.options.update == "auto")

    def _alone(self) -> Any:
        """The lock, but for traced code, and for replicas, which wait for each other."""
        return contextlib.nullcontext() if compat.in_stateless_scope() is not False or be.is_compiling() else self._turn

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """No mask: the value is that of the whole batch."""

    def compute_output_spec(self, labels: Any, features: Any, *args: Any, **keywords: Any) -> Any:
        """A scalar, or one value per sample with `reduction="none"`."""
        per_sample = self.options.reduction == "none"
        return keras.KerasTensor(features.shape[:-1] if per_sample else (), dtype="float32")

    def _native(self, labels: Any, features: Any, sample_weight: Any, mask: Any) -> list[Any]:
        """The arguments as native arrays; without a mask, that which Keras layers attached to the features is used."""
        bad, self._bad_input = self._bad_input, None
        if bad is not None:
            raise bad
        mask = compat.mask_of(features) if mask is None else mask
        arrays = super()._native(labels, features, sample_weight, mask)
        features, rank = arrays[1], len(arrays[1].shape) - 1
        return [x if x is None or x is features else squeeze_trailing(x, rank) for x in arrays]

    def _together(self) -> Any:
        be.refuse_recomputation()
        table = getattr(self._table, "value", None)
        # In such a scope Keras on torch only asks for shapes, of tensors without values.
        for_shapes = compat.in_stateless_scope() or getattr(table, "is_meta", False)
        return None if for_shapes else be.group(table, self._choice)

    def _ready(self, given: Any, group: Any = None) -> tuple[list[Any], bool]:
        """As everywhere; in a group all processes are ready, or none is."""
        if not hasattr(group, "check"):
            return super()._ready(given)
        return group.check(self, lambda: self._ready(given))

    def _compute(self, arrays: list[Any], *how: Any) -> tuple[Any, Any, Any]:
        self._in_graph = self._in_graph or (_HAS_GRAPHS and be.host(arrays[0]) is None)
        return super()._compute(arrays, *how)

    def _held(self) -> Any:
        return ops.convert_to_tensor(self._table)

    def rematerialized_call(self, layer_call: Any, *args: Any, **keywords: Any) -> Any:
        """The call itself: a layer that moves its centers must not be computed twice under `keras.RematScope`."""
        return layer_call

    def _commit(self, labels: Any, rows: Any) -> None:
        rows = be.xp.stop_gradient(rows)
        if be.write_rows is not None and compat.in_stateless_scope() is False:
            be.write_rows(self._table.value, labels, rows)
        else:
            self._table.assign(be.xp.put_rows(self._table.value, labels, rows))
        if self._choice is not None:
            self._choice.exchanged()

    def load_own_variables(self, store: Any) -> None:
        """As Keras does; then the processes of a group have to compare their centers again."""
        self._agreed = False
        super().load_own_variables(store)

    def _set(self, centers: np.ndarray, like: Any) -> None:
        self._agreed = False
        if self._table is not None and tuple(self._table.shape) == centers.shape:
            self._table.assign(centers)
            return
        compat.unlock(self)
        if self._table is not None:
            compat.forget(self, self._table)
            if self._in_graph and not self._is_made_anew:
                warnings.warn(
                    "the table of centers has another shape now; what was compiled before (fit, on TensorFlow) keeps "
                    "to the old one, and gives nan from now on: call model.compile again before fit",
                    stacklevel=5,
                )
                self._table.assign(ops.full(self._table.shape, np.nan))
                self._in_graph = False
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

    def _host_centers(self) -> np.ndarray:
        return np.zeros((0, 0)) if self._table is None else np.array(to_host(self._table.value))

    @property
    def centers(self) -> Any:
        """A copy of the centers, (num_classes, feature_dim), as a tensor; (0, 0) until known. `center.centers = array`
        sets them; writing into the copy does not."""
        if self._table is None:
            return ops.zeros((0, 0))
        with self._alone():
            return ops.copy(self._table)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` takes; the centers are a weight and saved as such."""
        options = self.options.given()
        if self._table is not None and "num_classes" in options:
            options["num_classes"], options["feature_dim"] = self._shape()
        return {"name": self.name} | options
