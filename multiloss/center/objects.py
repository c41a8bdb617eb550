"""What the center objects of all backends share: config, the pure `init_state`/`step`, growth, files.

A stateful object gathers the rows of the batch, computes value and moved rows, and commits those rows. The native
classes say how rows are read and written; all the rest is here and in `center`.
"""

from __future__ import annotations

import dataclasses
import operator
import os
import threading
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from multiloss import call, checks, dispatch, options
from multiloss.center import state
from multiloss.center.step import CenterOptions, make, native_arrays, step, to_host, words
from multiloss.loss import FixedOptions

Array = Any


class Lock(type(threading.RLock())):  # type: ignore[misc]
    """A lock that the thread which holds it may take again. A copy, pickled ones too, is a new lock."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Lock, ()


_OPTIONS = frozenset(f.name for f in dataclasses.fields(CenterOptions)) - {"own", "initial", "spec"}


class CenterMethods(FixedOptions):
    """What the center objects of all backends share; `_shape`, `_dtype`, `_set` and `_host_centers` are native."""

    backend: str
    options: CenterOptions
    _turn: Lock

    def _alone(self) -> Any:
        """What reads or moves the centers runs within: threads take turns. In traced code, which no lock can guard,
        the native classes have none."""
        return self._turn

    def _fixed(self) -> Collection[str]:
        chosen = self.__dict__.get("options")
        return () if chosen is None else _OPTIONS.union(dict(chosen.own))

    def _instead(self, name: str, value: str) -> str:
        if name == "num_classes":
            return f"center.resize({value}) changes the number of classes, and center.select picks some"
        if name == "centers_init":
            return "center.centers = array sets the centers"
        new = f"new = multiloss.get(**center.config() | {{{name!r}: {value}}})"
        return f"{new} makes another center loss, and new.centers = center.centers gives it these centers"

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "centers":
            self._assign(value)
        else:
            super().__setattr__(name, value)

    def _assign(self, centers: Any) -> None:
        """`center.centers = array`: the values are copied, after the checks that a file goes through."""
        values = real_table(centers)
        with self._alone():
            self._check_table("the array", values, self._other_classes(values))
            self._set(values, None)

    def _be(self) -> Any:
        return dispatch.backend(self.backend)

    def config(self) -> dict[str, Any]:
        """Name, backend and options as plain JSON data; the centers are not in it (see `save_centers`)."""
        return self.options.config() | {"backend": self.backend}

    def to_backend(self, backend: str) -> Any:
        """The same center loss, with the same centers, in another framework."""
        config = self.options.config()
        config["loss"] = config.pop("name")
        with self._alone():
            centers = self._host_centers()
        other = make(backend, config)
        if centers.size:
            other._set(centers, None)
        return other

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
            grown = np.array(grown)
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
        labels, features, sample_weight, mask = native_arrays(be, labels, features, sample_weight, mask)
        centers = state["centers"]
        self._check(labels, features, sample_weight, mask, be.shape(centers)[-1])
        trusted = self._labels_known(labels, mask, be.shape(centers)[0])
        value, where_to, rows = step(
            be, self.options, centers, labels, features, sample_weight, mask,
            training=training, trusted=trusted, group=self._group(),
        )  # fmt: skip
        if where_to is None:
            return value, state
        return value, {**state, "centers": be.xp.put_rows(centers, where_to, rows)}

    def _group(self) -> Any:
        """What the pure `step` updates together with (`protocol.Group`); None: nothing."""
        return None

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
        if shape[-1] == 0:
            raise ValueError(f"features must have at least one feature, got shape {shape}")
        if not self.options.table.one_row and dim not in (None, 0) and shape[-1] not in (None, dim):
            raise ValueError(f"features must have {dim} features, as the centers have, got shape {shape}")
        if self.options.table.of_batch and len(label_shape) != 1:
            raise ValueError(
                f"{self.options.loss} compares the samples of one batch: features must be (N, D), got shape {shape}"
            )
        call.check_weights(be, sample_weight, mask, label_shape, shape)

    def _labels_known(self, labels: Array, mask: Any, classes: int) -> bool:
        if self.options.validate is False or self.options.table.one_row:  # which does not use them
            return False
        be = self._be()
        fit = getattr(be, "labels_fit", None)
        if fit is not None and mask is None and fit(labels, classes):
            return True
        values, kept = be.host(labels), None if mask is None else be.host(mask)
        if values is None or (mask is not None and kept is None):
            return False
        keep = None if kept is None else call.spread_host(kept, values.shape)
        checks.labels_in_range(values, classes, None, keep, "labels", "to leave such samples out pass a mask")
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
            raise ValueError(
                "the number of classes cannot be read from the labels here (traced, compiled or on an accelerator); "
                "pass num_classes to multiloss.get('center', ...)"
            )
        if kept is not None:
            values = values[call.spread_host(kept, values.shape)]
        top = int(values.max()) + 1 if values.size else 0
        if top > chosen.max_classes:
            raise ValueError(
                f"labels hold the class {top - 1}, and the centers grow by themselves up to max_classes="
                f"{chosen.max_classes} only; pass num_classes to multiloss.get('center', ...)"
            )
        if values.size and values.min() < 0:
            way_out = "to leave such samples out pass a mask"
            checks.labels_in_range(values, max(top, have[0], 1), None, None, "labels", way_out)
        rows = max(top, have[0], 1)  # of an empty batch one class, so that there is a table to look into
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

    def _dtype(self) -> str:
        """The name of the centers' dtype."""
        raise NotImplementedError

    def save_centers(self, path: str | os.PathLike[str]) -> None:
        """Write the centers as one safetensors file, which every backend reads."""
        with self._alone():
            centers = self._known()
        state.save(path, centers)

    def load_centers(
        self, path: str | os.PathLike[str], *, resize: bool = False, classes: Sequence[int] | None = None
    ) -> None:
        """Take the centers of a file that `save_centers` wrote, on any backend.

        Args:
            path: the file.
            resize: take another number of classes as `resize` does: the first classes, and first values for new ones.
            classes: take these classes of the file, in this order, as `select` does.

        Raises:
            ValueError: the file holds other classes or dimensions (both shapes are named), or is none.
        """
        centers = state.load(path)
        if classes is not None:
            centers = centers[_class_list(classes, len(centers), os.fspath(path))]
        with self._alone():
            other = self._other_classes(centers)
            hint = "resize=True or classes=[...] adapts them"
            self._check_table(os.fspath(path), centers, other and not resize, hint)
            self._set(self._resized(centers, self.options.num_classes) if other else centers, None)

    def _other_classes(self, centers: np.ndarray) -> bool:
        """Whether they are of another number of classes than these, which do not grow by themselves."""
        return self.options.num_classes not in (None, len(centers)) and self._shape()[0] != len(centers)

    def _check_table(self, source: str, centers: np.ndarray, other: bool, hint: str = "center.resize first") -> None:
        have = self._shape()
        wanted = have[0] or self.options.num_classes, have[1] or self.options.feature_dim
        dtype = self._dtype() if have[0] else centers.dtype
        check_table(source, centers, wanted, dtype, other, hint, unknown=self.options.table.one_row)

    def resize(self, num_classes: int) -> None:
        """Keep the first `num_classes` classes; new ones get the first values that `centers_init` gives them.

        Args:
            num_classes: the number of classes from now on.
        """
        rows = options.count("num_classes", num_classes)
        if self.options.table.one_row:
            raise ValueError(f"{self.options.loss} loss has one row for all classes, and does not resize to {rows}")
        with self._alone():
            self._take(self._resized(self._known(), rows))

    def select(self, classes: Sequence[int]) -> None:
        """Keep these classes only: what was class `classes[i]` is class i from now on.

        Args:
            classes: existing classes, each once.

        Raises:
            ValueError: a class that does not exist, or one named twice.
        """
        with self._alone():
            centers = self._known()
            chosen = _class_list(classes, len(centers), "the center loss")
            first = None
            if self.options.initial is not None:  # the first values go with their classes
                first = self._first(len(centers), centers.shape[1])[chosen]
            self._take(centers[chosen], first)

    def _known(self) -> np.ndarray:
        if self._shape()[0] == 0:
            raise ValueError("there are no centers yet: train a step first, or pass num_classes and feature_dim")
        return self._host_centers()

    def _resized(self, centers: np.ndarray, rows: int | None) -> np.ndarray:
        rows = len(centers) if rows is None else rows
        grown = np.array(self._first(rows, centers.shape[1]), centers.dtype)
        grown[: len(centers)] = centers[:rows]
        return grown

    def _take(self, centers: np.ndarray, first: np.ndarray | None = None) -> None:
        """Another class set: the options follow, where they fix the number of classes or its first values."""
        before = self.options
        classes: dict[str, Any] = {}
        if before.num_classes is not None:
            classes = {"num_classes": len(centers), "max_classes": max(before.max_classes, len(centers))}
        initial = before.initial if first is None else first
        self.options = dataclasses.replace(before, **classes, initial=initial)
        try:
            self._set(centers, None)
        finally:
            if self._shape()[0] != len(centers):  # it was refused or interrupted
                self.options = before

    def describe(self) -> str:
        """What is computed, in words: scale of the value, step of the centers, dtype, synchronisation."""
        classes, dim = self._shape()
        table = f"({classes}, {dim}), {self._dtype()}" if classes else "not known before the first batch"
        return "\n".join(
            [
                *words(self.options, dim or self.options.feature_dim),
                f"centers: {table}, no gradient",
                f"synchronisation: {self._synchronisation()}",
            ]
        )

    def _synchronisation(self) -> str:
        return "none, one process"

    def __repr__(self) -> str:
        shown = "".join(f", {key}={value!r}" for key, value in self.config().items() if key != "name")
        return f"multiloss.get({self.options.loss!r}{shown})"


def real_table(centers: Any) -> np.ndarray:
    """The values of any framework's array, in NumPy; refused where they are no real matrix."""
    values = np.array(to_host(centers))
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise ValueError(
            f"centers must be a real (classes, features) array, got {values.dtype} of shape {values.shape}"
        )
    return values


def check_table(
    source: str,
    centers: np.ndarray,
    wanted: tuple[int | None, int | None],
    dtype: Any,
    other: bool,
    hint: str = "",
    *,
    unknown: bool = False,
) -> None:
    """Refuse centers that cannot take the place of others.

    Args:
        source: where they come from.
        centers: the values.
        wanted: the shape of the others; None where it is not known.
        dtype: that of the others, in which the new ones have to be finite.
        other: whether they are of another number of classes, and that is none that could be taken.
        hint: what to do about that.
        unknown: whether nan stands for what is not known yet, as the radius of ring loss before the first batch.
    """
    if wanted[1] not in (None, centers.shape[1]) or other or not centers.size:
        hint = f"; {hint}" if other and wanted[1] in (None, centers.shape[1]) and hint else ""
        raise ValueError(f"{source} holds centers of shape {centers.shape}, but these are of shape {wanted}{hint}")
    with np.errstate(over="ignore"):
        values = centers.astype(dtype)
    wrong = np.isinf(values) if unknown else ~np.isfinite(values)
    if wrong.any():
        row = int(np.argwhere(wrong)[0, 0])
        raise ValueError(f"{source} holds centers that are not finite in {values.dtype}: class {row} is {centers[row]}")


def _class_list(classes: Sequence[int], have: int, where: str) -> list[int]:
    """Existing classes, each once."""
    chosen = [operator.index(c) for c in classes]
    wrong = next((c for c in chosen if not 0 <= c < have), None)
    if not chosen or wrong is not None or len(set(chosen)) != len(chosen):
        told = "none" if not chosen else f"{wrong}" if wrong is not None else f"{chosen}, one of them twice"
        raise ValueError(f"classes must name classes of {where}, in [0, {have}), each once; got {told}")
    return chosen
