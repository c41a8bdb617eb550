"""The centers that an object of center loss holds: made, read, replaced, kept for other classes, saved and loaded."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from multiloss.center import files, state
from multiloss.center.options import CenterOptions, make
from multiloss.engine import dispatch, options
from multiloss.engine.definition import Definition
from multiloss.engine.dispatch import to_host
from multiloss.engine.objects import FixedOptions
from multiloss.engine.page import EVERY_CALL, shown

Array = Any


class Lock(type(threading.RLock())):  # type: ignore[misc]
    """A reentrant lock. A copy, also by pickle, is a new lock."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Lock, ()


_OPTIONS = frozenset(f.name for f in dataclasses.fields(CenterOptions)) - {"own", "initial", "spec"}


class HeldCenters(FixedOptions):
    """Options and centers of a center loss. The native classes hold the table."""

    backend: str
    options: CenterOptions
    _help_name = "center"
    _help_methods = (
        "update", "value_and_grad", "init_state", "step", "describe", "resize", "select", "write_centers",
        "save_centers", "load_centers", "config", "to_backend",
    )  # fmt: skip
    _turn: Lock
    _table: Any
    """The centers; None until known."""

    def _alone(self) -> Any:
        """The context in which centers are read or moved: a lock, so that threads take turns; none in traced code."""
        return self._turn

    def _options(self) -> Mapping[str, Any]:
        chosen, choice = self.__dict__.get("options"), self.__dict__.get("_choice")
        group = {} if choice is None else {"process_group": choice.group}
        return {} if chosen is None else chosen.readable(self.backend) | group

    def _definition(self) -> Definition | None:
        chosen = self.__dict__.get("options")
        return None if chosen is None else chosen.definition

    def _means(self) -> Mapping[str, str]:
        return EVERY_CALL | self.options.means()

    def _another(self) -> str:
        return "multiloss.get(**center.config() | {...}) makes another one, without these centers"

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
        """`center.centers = array`: the values are checked as those of a file are, and copied."""
        values = state.real_table(centers)
        with self._alone():
            self._has_other_classes("the array", values)
            self._set(values, None)

    def _be(self) -> Any:
        return dispatch.backend(self.backend)

    def config(self) -> dict[str, Any]:
        """Name, backend and options as plain JSON data; the centers are not in it (see `save_centers`)."""
        return self.options.config() | {"backend": self.backend}

    def to_backend(self, backend: str) -> Any:
        """The same center loss, with the same centers, in another framework."""
        with self._alone():
            centers = self._host_centers()
        other = make(backend, self.options.given())
        if centers.size:
            other._set(centers, None)
        return other

    def _begin(self, dim: int | None = None) -> None:
        """Make the table if its shape is known; `dim` is the number of features of the first batch."""
        chosen, dim = self.options, self.options.feature_dim or dim
        if chosen.num_classes is not None and dim:
            self._set(self._first(chosen.num_classes, dim), None)

    def _first(self, rows: int, dim: int) -> np.ndarray:
        chosen = self.options
        first = state.first_centers(chosen.centers_init, chosen.seed, rows, dim, np.float64)
        return first if chosen.initial is None else state.extended(chosen.initial, first)

    def _shape(self) -> tuple[int, int]:
        """(0, 0) until known."""
        return (0, 0) if self._table is None else tuple(self._table.shape)

    def _dtype(self) -> str:
        """The name of the centers' dtype; where there are none yet, of that which they will have."""
        table = self._table if self._shape()[0] else self._be().centers_array(np.ones((1, 1)))
        return str(getattr(table.dtype, "name", table.dtype)).rpartition(".")[2]

    def _host_centers(self) -> np.ndarray:
        """A copy of the centers in NumPy."""
        return np.zeros((0, 0)) if self._table is None else np.array(to_host(self._table))

    def _set(self, centers: np.ndarray, like: Array | None) -> None:
        """Take these centers; a new table gets device and dtype from `like`, features."""
        self._table = self._be().centers_array(centers, self._table if like is None else like)

    def save_centers(self, path: str | os.PathLike[str]) -> None:
        """Write the centers as one safetensors file, which every backend reads."""
        with self._alone():
            centers = self._known()
        files.save(path, centers)

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
        centers = files.load(path)
        if classes is not None:
            centers = centers[state.class_list(classes, len(centers), os.fspath(path))]
        with self._alone():
            if self._has_other_classes(os.fspath(path), centers, "resize=True or classes=[...] adapts them", resize):
                centers = state.extended(centers, self._first(int(self.options.num_classes or 0), centers.shape[1]))
            self._set(centers, None)

    def _has_other_classes(
        self, source: str, centers: np.ndarray, hint: str = "center.resize first", resize: bool = False
    ) -> bool:
        """Whether new centers have another number of classes than the option `num_classes` fixes. That is refused
        unless `resize`, and so are centers that cannot replace these at all."""
        have, chosen = self._shape(), self.options
        other = chosen.num_classes not in (None, len(centers)) and have[0] != len(centers)
        wanted = have[0] or chosen.num_classes, have[1] or chosen.feature_dim
        state.check_table(
            source, centers, wanted, self._dtype(), other and not resize, hint, unknown=chosen.table.one_row
        )
        return other

    def resize(self, num_classes: int) -> None:
        """Keep the first `num_classes` classes; new ones get the first values that `centers_init` gives them.

        Args:
            num_classes: the number of classes from now on.
        """
        rows = options.count("num_classes", num_classes)
        if self.options.table.one_row:
            raise ValueError(f"{self.options.loss} loss has one row for all classes, and does not resize to {rows}")
        with self._alone():
            centers = self._known()
            self._take(state.extended(centers, self._first(rows, centers.shape[1])))

    def select(self, classes: Sequence[int]) -> None:
        """Keep these classes only: what was class `classes[i]` is class i from now on.

        Args:
            classes: existing classes, each once.

        Raises:
            ValueError: a class that does not exist, or one named twice.
        """
        with self._alone():
            centers = self._known()
            chosen = state.class_list(classes, len(centers), "the center loss")
            is_given = self.options.initial is not None  # then the first values go with their classes
            self._take(centers[chosen], self._first(*centers.shape)[chosen] if is_given else None)

    def write_centers(self, centers: Any, classes: Sequence[int] | None = None) -> None:
        """Put these centers in the place of others: of a trained classifier's rows, or at the mean of a new identity.

        Args:
            centers: a real array of any framework, (num_classes, feature_dim); or a row for each of `classes`.
            classes: existing classes, each once (`resize` makes room for a new one); None: all.

        Raises:
            ValueError: another shape, numbers that are not finite in the centers' dtype, an unknown class.

        Example:
            >>> import multiloss
            >>> center = multiloss.get("center", backend="numpy", num_classes=2, feature_dim=2)
            >>> center.resize(3)
            >>> center.write_centers([[1.0, 2.0]], classes=[2])
            >>> center.centers.tolist()
            [[0.0, 0.0], [0.0, 0.0], [1.0, 2.0]]
        """
        if classes is None:
            self._assign(centers)
            return
        rows = state.real_table(centers)
        with self._alone():
            table = self._known()
            chosen = state.class_list(classes, len(table), "the center loss")
            wanted = (len(chosen), table.shape[1])
            if rows.shape != wanted:
                raise ValueError(f"centers must have a row for each of classes, of shape {wanted}, got {rows.shape}")
            state.check_table("the array", rows, wanted, self._dtype(), False)
            table[chosen] = rows
            self._set(table, None)

    def _known(self) -> np.ndarray:
        if self._shape()[0] == 0:
            raise ValueError("there are no centers yet: train a step first, or pass num_classes and feature_dim")
        return self._host_centers()

    def _take(self, centers: np.ndarray, first: np.ndarray | None = None) -> None:
        """Take centers of another class set, and change the options that fix the number of classes or first values."""
        before, rows = self.options, len(centers)
        new: dict[str, Any] = {} if first is None else {"initial": first}
        if before.num_classes is not None:
            new |= {"num_classes": rows, "max_classes": max(before.max_classes, rows)}
        self.options = dataclasses.replace(before, **new)
        try:
            self._set(centers, None)
        finally:
            if self._shape()[0] != rows:  # `_set` was refused or interrupted
                self.options = before

    def __repr__(self) -> str:
        given = "".join(f", {key}={shown(value)}" for key, value in self.config().items() if key != "name")
        return f"multiloss.get({self.options.loss!r}{given})"
