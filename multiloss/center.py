"""Center loss as users hold it: options, the pure core `init_state`/`step`, and what every stateful object shares.

A stateful object gathers the rows of the batch, computes value and moved rows, and commits those rows. The native
classes say how rows are read and written; all the rest is here.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from multiloss import checks, dispatch, inputs, options, pipeline, registry, state
from multiloss.definitions import center as formula
from multiloss.loss import Spec

Array = Any

_READERS: dict[str, options.Reader] = {
    "alpha": options.unit_interval,
    "num_classes": options.optional(options.count),
    "feature_dim": options.optional(options.count),
    "centers_init": options.one_of("zeros", "normal"),
    "seed": options.integer,
    "per_feature": options.flag,
    "reduction": options.reduction,
    "update": options.one_of("auto", "manual"),
    "max_classes": options.count,
    "validate": options.optional(options.flag),
}


@dataclasses.dataclass(frozen=True)
class CenterOptions:
    """The options of a center loss, normalised. An array given as `centers_init` is run-time data, no option."""

    alpha: float = 0.5
    num_classes: int | None = None
    feature_dim: int | None = None
    centers_init: str = "zeros"
    seed: int = 0
    per_feature: bool = False
    reduction: str = "mean"
    update: str = "auto"
    max_classes: int = 65536
    validate: bool | None = None
    initial: Any = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def spec(self) -> Spec:
        """The value as a loss of the pipeline: targets are the gathered rows, predictions the features."""
        return Spec(formula.distance, (("per_feature", self.per_feature),), reduction=self.reduction, validate=False)

    def config(self) -> dict[str, Any]:
        """Plain JSON data from which `multiloss.get(**config)` makes an equal center loss (without its centers)."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "initial"}
        return {"name": "center"} | plain


def read_options(given: dict[str, Any]) -> CenterOptions:
    """Normalise the options of `multiloss.get("center", ...)`."""
    for name in given:
        if name not in _READERS:
            raise registry.unknown_option("center", name, list(_READERS))
    given = dict(given)
    initial = given.get("centers_init")
    if initial is not None and not isinstance(initial, str):
        del given["centers_init"]
        array = np.asarray(to_host(initial))
        if array.ndim != 2 or array.dtype.kind not in "fiu":
            raise ValueError(
                f"centers_init must be 'zeros', 'normal' or a real (classes, features) array, got shape {array.shape}"
            )
        for name, size in zip(("num_classes", "feature_dim"), array.shape, strict=True):
            if given.get(name) not in (None, size):
                raise ValueError(f"centers_init has shape {array.shape}, which contradicts {name}={given[name]}")
            given[name] = size
    else:
        array = None
    read = {name: _READERS[name](name, value) for name, value in given.items()}
    if read.get("num_classes") and "max_classes" not in read:
        read["max_classes"] = max(65536, read["num_classes"])
    return CenterOptions(**read, initial=array)


def to_host(x: Any) -> Any:
    """The values of any framework's tensor in NumPy, wherever they are; other things as they are."""
    framework = dispatch.framework_of(x)
    if framework in (None, "numpy"):
        return x
    be = dispatch.backend(str(framework))
    values = be.host(x)
    return (
        x.detach().cpu().numpy()
        if values is None and hasattr(x, "cpu")
        else np.asarray(x)
        if values is None
        else values
    )


def make(backend: str | None, given: dict[str, Any]) -> Any:
    """The center loss of a backend. Center loss holds state, so the backend must be named."""
    if backend is None:
        raise ValueError("center loss holds centers, so it needs a backend: multiloss.get('center', backend='torch')")
    read = read_options(given)
    return dispatch.backend(backend).center(read)


def _gather(
    be: Any, centers: Array, labels: Array, mask: Array | None, trusted: bool
) -> tuple[Array, Array, Array | None, Array]:
    """Labels that exist, which samples count, which labels do not exist (None: all do), and the row of each sample."""
    xp = be.xp
    labels = be.labels(labels)
    keep = labels == labels  # all True, of the shape of the labels
    if mask is not None:
        keep = keep & pipeline.trailing(mask, len(be.shape(mask)), len(be.shape(labels)))
    invalid = None
    if not trusted:
        invalid = ((labels < 0) | (labels >= xp.class_count(centers, 0))) & keep
    safe = labels if mask is None and invalid is None else xp.where(keep, labels, xp.zeros_like(labels))
    if invalid is not None:
        safe = xp.where(invalid, xp.zeros_like(labels), safe)
    return safe, keep, invalid, xp.stop_gradient(xp.gather(centers, safe))


def value_and_gradient(
    be: Any,
    chosen: CenterOptions,
    centers: Array,
    labels: Array,
    features: Array,
    sample_weight: Array | None,
    mask: Array | None,
    *,
    trusted: bool,
) -> tuple[Array, Array]:
    """The value and its gradient by the closed form, in the dtype of the features where they are real."""
    _, _, invalid, rows = _gather(be, centers, labels, mask, trusted)
    samples = pipeline.of_rows(be, chosen.spec, rows, features, sample_weight, mask, invalid)
    value, gradient = pipeline.value_and_gradient_of(be, chosen.spec, samples)
    return value, be.cast_like(gradient, features) if be.kind(features) == "f" else gradient


def step(
    be: Any,
    chosen: CenterOptions,
    centers: Array,
    labels: Array,
    features: Array,
    sample_weight: Array | None,
    mask: Array | None,
    *,
    training: bool,
    trusted: bool,
) -> tuple[Array, Array | None, Array | None]:
    """The value, and the rows to commit: (value, labels, rows); no rows where nothing is to move. Pure, traceable."""
    xp = be.xp
    safe, keep, invalid, rows = _gather(be, centers, labels, mask, trusted)
    value = pipeline.value_of(
        be, chosen.spec, pipeline.of_rows(be, chosen.spec, rows, features, sample_weight, mask, invalid)
    )
    if not training:
        return value, None, None
    dim = be.shape(centers)[-1]
    x = be.cast_like(xp.stop_gradient(features), rows)
    flat_rows, flat_x = xp.reshape(rows, (-1, dim)), xp.reshape(x, (-1, dim))
    flat_keep = xp.reshape(keep, (-1,))
    if invalid is not None:
        # Bad input changes nothing: one label out of range, and no center moves.
        flat_keep = flat_keep & ~xp.any(invalid)
    where_to, new = formula.moved(xp, flat_rows, xp.reshape(safe, (-1,)), flat_x, flat_keep, chosen.alpha)
    return value, where_to, new


class CenterMethods:
    """What the center objects of all backends share; `_shape`, `_set` and `_host_centers` are native."""

    backend: str
    options: CenterOptions

    def _be(self) -> Any:
        return dispatch.backend(self.backend)

    def config(self) -> dict[str, Any]:
        """Name, backend and options as plain JSON data; the centers are not in it (see `save_centers`)."""
        return self.options.config() | {"backend": self.backend}

    def to_backend(self, backend: str) -> Any:
        """The same center loss, with the same centers, in another framework."""
        config = self.options.config()
        config.pop("name")
        centers = self._host_centers()
        if centers.size:
            config["centers_init"] = centers
        return make(backend, config)

    def init_state(self) -> dict[str, Array]:
        """The first state, {"centers": (num_classes, feature_dim)}, for the pure `step`."""
        chosen = self.options
        if chosen.num_classes is None or chosen.feature_dim is None:
            missing = "num_classes" if chosen.num_classes is None else "feature_dim"
            raise ValueError(f"init_state needs {missing}: multiloss.get('center', {missing}=...)")
        return {"centers": self._be().centers_array(self._first(chosen.num_classes, chosen.feature_dim))}

    def _first(self, rows: int, dim: int) -> np.ndarray:
        chosen = self.options
        if chosen.initial is not None and rows <= len(chosen.initial):
            return chosen.initial[:rows]
        grown = state.first_centers(chosen.centers_init, chosen.seed, rows, dim, np.float64)
        if chosen.initial is not None:
            grown[: len(chosen.initial)] = chosen.initial
        return grown

    def step(
        self,
        state: dict[str, Array],
        labels: Array,
        features: Array,
        training: bool = True,
        *,
        sample_weight: Array | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """The pure core: the value with the centers of `state`, and the state after Eq. 4. Traceable.

        Args:
            state: {"centers": (C, D)}, from `init_state`.
            labels: integer classes (N,).
            features: (N, D).
            training: False leaves the state as it is.

        Returns:
            The loss, and the new state (the one given is not changed).
        """
        be = self._be()
        labels, features, sample_weight, mask = inputs.convert(be, labels, features, sample_weight, mask)
        centers = state["centers"]
        self._check(labels, features, sample_weight, mask, be.shape(centers)[-1])
        trusted = self._labels_known(labels, mask, be.shape(centers)[0])
        value, where_to, rows = step(
            be, self.options, centers, labels, features, sample_weight, mask, training=training, trusted=trusted
        )
        if where_to is None:
            return value, state
        return value, {**state, "centers": be.xp.put_rows(centers, where_to, rows)}

    def _check(self, labels: Array, features: Array, sample_weight: Any, mask: Any, dim: int | None) -> None:
        be = self._be()
        if be.kind(labels) not in "iu":
            raise checks.label_dtype(labels.dtype, "labels")
        if be.kind(features) not in "fiu":
            raise checks.real_dtype("features", features.dtype)
        label_shape, shape = be.shape(labels), be.shape(features)
        if len(shape) != len(label_shape) + 1 or not checks.same(label_shape, shape[:-1]):
            raise ValueError(
                f"labels must hold one class per feature vector, of shape {shape[:-1]} for features of shape {shape}, "
                f"got shape {label_shape}"
            )
        if dim not in (None, 0) and shape[-1] not in (None, dim):
            raise ValueError(f"features must have {dim} features, as the centers have, got shape {shape}")
        inputs.check_weights(be, sample_weight, mask, label_shape, shape)

    def _labels_known(self, labels: Array, mask: Any, classes: int) -> bool:
        if self.options.validate is False:
            return False
        be = self._be()
        values, kept = be.host(labels), None if mask is None else be.host(mask)
        if values is None or (mask is not None and kept is None):
            return False
        keep = None if kept is None else inputs.spread_host(kept, values.shape)
        checks.labels_in_range(values, classes, None, keep, "labels")
        return True

    def _fit(self, labels: Array, features: Array, mask: Any, may_grow: bool) -> None:
        """Make the table fit the batch: the feature dimension from the first one, classes as they come."""
        be, chosen, have = self._be(), self.options, self._shape()
        dim = have[1] or chosen.feature_dim or be.shape(features)[-1]
        if chosen.num_classes is not None:
            if have[0] == 0:
                if dim is None:
                    raise ValueError("features must have a known last dimension; pass feature_dim")
                self._set(self._first(chosen.num_classes, dim), features)
            return
        values, kept = be.host(labels), None if mask is None else be.host(mask)
        if values is None or not may_grow or (mask is not None and kept is None):
            if have[0] and not may_grow:
                return
            raise ValueError(
                "the number of classes cannot be read from the labels here (traced, compiled or on an accelerator); "
                "pass num_classes to multiloss.get('center', ...)"
            )
        if kept is not None:
            values = values[inputs.spread_host(kept, values.shape)]
        top = int(values.max(initial=-1)) + 1
        if top > chosen.max_classes:
            raise ValueError(
                f"labels hold the class {top - 1}, and the centers grow by themselves up to max_classes="
                f"{chosen.max_classes} only; pass num_classes to multiloss.get('center', ...)"
            )
        if values.size and values.min() < 0:
            checks.labels_in_range(values, max(top, have[0], 1), None, None, "labels")
        rows = max(top, have[0])
        if rows > have[0]:
            grown = self._first(rows, dim)
            if have[0]:
                grown = np.array(grown)
                grown[: have[0]] = self._host_centers()
            self._set(grown, features)

    def _shape(self) -> tuple[int, int]:
        """(0, 0) until known."""
        raise NotImplementedError

    def _set(self, centers: np.ndarray, like: Array | None) -> None:
        """Take these centers; `like` are features, which tell device and dtype where the table is new."""
        raise NotImplementedError

    def _host_centers(self) -> np.ndarray:
        """A copy of the centers in NumPy."""
        raise NotImplementedError

    def save_centers(self, path: str | os.PathLike[str]) -> None:
        """Write the centers as one safetensors file, which every backend reads."""
        if self._shape()[0] == 0:
            raise ValueError("there are no centers yet: train a step first, or pass num_classes and feature_dim")
        state.save(path, self._host_centers())

    def load_centers(self, path: str | os.PathLike[str]) -> None:
        """Take the centers of a file that `save_centers` wrote, on any backend.

        Raises:
            ValueError: the file holds other classes or dimensions (both shapes are named), or is none.
        """
        centers = state.load(path)
        have = self._shape()
        wanted = (have[0] or self.options.num_classes, have[1] or self.options.feature_dim)
        fixed = self.options.num_classes is not None
        if wanted[1] not in (None, centers.shape[1]) or (fixed and wanted[0] != centers.shape[0]):
            raise ValueError(
                f"{os.fspath(path)} holds centers of shape {centers.shape}, but these are of shape {wanted}"
            )
        self._set(centers, None)

    def __repr__(self) -> str:
        shown = "".join(f", {key}={value!r}" for key, value in self.config().items() if key != "name")
        return f"multiloss.get('center'{shown})"
