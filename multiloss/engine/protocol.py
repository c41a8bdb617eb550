"""What an adapter must offer. `multiloss_numpy` is the shortest one to read.

An adapter is a module (`backends/multiloss_X`) with the names below. `xp` is the array namespace that definitions are
written over: the framework's array API plus the primitives of `Namespace`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

from multiloss.engine import numerics

Array = Any
_NONE: Mapping[str, Any] = MappingProxyType({})


class Namespace(Protocol):
    """The array API of the framework, and what it lacks and every adapter gives. All other primitives are in
    `multiloss.engine.numerics`, each in a form over any namespace that an adapter may replace by a better one."""

    def stop_gradient(self, x: Array) -> Array:
        """x, as a constant."""

    def lgamma(self, x: Array) -> Array:
        """The logarithm of |Gamma(x)|, infinite at the poles; that of x! is `lgamma(x + 1)`."""

    def put_rows(self, table: Array, rows: Array, values: Array) -> Array:
        """A table with some rows replaced; a row named twice must come with the same value."""

    def segment_sum(self, values: Array, segments: Array, like: Array) -> Array:
        """Sums of the values of each segment, in as many rows as `like` has."""


class Group(Protocol):
    """The processes (or devices) that one updating call of a center loss runs on; see `multiloss.center.step`."""

    def gathers(self, classes: int, dim: int, samples: int) -> bool:
        """Whether the batches travel, and not one sum a class: what moves fewer bytes."""

    def gather(self, x: Array) -> Array:
        """The arrays of all processes, one after the other along the first axis."""

    def sum(self, x: Array) -> Array:
        """The sum over all processes."""


class Adapter(Protocol):
    """What `multiloss_X` has: `loss` and `center`, and what the engine asks about arrays (its `arrays.py`)."""

    name: str
    """The backend's name, `multiloss.get(..., backend=name)`."""

    xp: Namespace

    def loss(self, spec: Any) -> Any:
        """The native loss object of a `multiloss.engine.loss.Spec`."""

    def center(self, options: Any) -> Any:
        """The native center-loss object."""

    def asarray(self, x: Any, like: Array | None, name: str) -> Array:
        """A native array: lists, numbers and NumPy arrays go to `like`'s device; native ones stay as they are, those on
        another device and other frameworks' are refused (`name` is the argument's)."""

    def is_native(self, x: Any) -> bool:
        """Whether x is one of the framework's arrays."""

    def shape(self, x: Array) -> tuple[int | None, ...]:
        """The static shape; None where a traced length is not known."""

    def dtype_kind(self, x: Array) -> str:
        """'b' bool, 'i' signed or 'u' unsigned integer, 'f' real, 'c' complex: NumPy's letters; '?' anything else."""

    def signature(self, x: Array) -> Any:
        """Shape, dtype and device, hashable; None while x is traced, or where it is more than a plain array."""

    def compute(self, x: Array) -> Array:
        """x in the dtype that losses are computed in: float32 for half precision, for integers the default float, but
        float32 at least."""

    def cast_like(self, x: Array, like: Array) -> Array:
        """x in the dtype of `like`."""

    def labels(self, x: Array) -> Array:
        """Integer labels, widened to int64 (JAX without x64: int32)."""

    def host(self, x: Array) -> Any:
        """x as a NumPy array where its values can be read at little cost, else None (traced, fake, on an
        accelerator)."""

    differentiates: bool
    """Optional: False of a framework without automatic differentiation; gradients are those of closed forms then."""
    has_half: bool
    """Optional: False of one without float16."""

    def own_value(self, spec: Any, *inputs: Array | None) -> Array | None:
        """Optional: the reduced loss by a kernel of the framework, where it has one for all samples alike."""

    def own_values(self, spec: Any, *inputs: Array | None) -> Array | None:
        """Optional: the value of each sample by a kernel of the framework, where it has one."""

    def labels_fit(self, x: Array, classes: int) -> bool:
        """Optional: whether all labels can be read and are in [0, classes), where this is quicker than by `host`."""

    def fitted(
        self, spec: Any, how: Any, inputs: dict[str, Array], weight: Array | None, mask: Array | None
    ) -> tuple[dict[str, Array], Array | None, Array | None]:
        """Optional: inputs by name, weights and mask that must fit each other by lengths not known yet, made to fit;
        `how` says which lengths are the same (`multiloss.engine.layout.Layout.names`)."""

    def centers_array(self, centers: Any, like: Array | None = None) -> Array:
        """A table of centers: float32, or float64 where `like` (features) is in double precision."""

    def group(self, table: Any = None, chosen: Any = None) -> Group | None:
        """Optional: what an updating call of a table runs together with, where the framework tells (`tf.distribute`,
        `torch.distributed`); `chosen` is what the user chose."""

    def write_rows(self, table: Any, labels: Array, rows: Array) -> None:
        """Optional: rows of the framework's variable in place, where it has one."""

    def refuse_recomputation(self) -> None:
        """Optional: RuntimeError where this call will be computed twice (activation checkpointing)."""

    def closed_form(self, value: Any, gradients: Mapping[int, Any], *arrays: Array) -> Array:
        """`value(*arrays)`, whose derivative by `arrays[i]` is in closed form where `gradients` has i.

        There is a pair: the function of all arrays that gives it, itself differentiable, and the axes of the array
        that the value lacks, as they were taken together; or None, where the value does not depend on it. By any other
        array the derivative is that of the expression.
        """


OLD_NAMES = {
    "at_least": "clamp_min",
    "infinite_below": "inf_below",
    "unit": "sign_or_one",
    "times": "zero_times",
    "agreement": "signed_margin",
    "off_pole": "safe_log_arg",
    "held": "snapshot",
    "put_class": "one_hot_times",
    "distinct": "unique_labels",
    "descended": "step_rows",
}
"""What primitives were called before, which losses of users may call them still."""


class Combined:
    """An array namespace together with an adapter's own names, which win, and the defaults of `numerics`."""

    memo: dict[Any, Any] | None = None
    """What `shared` parts gave in one evaluation; None where nothing is kept (`sharing`)."""

    def __init__(self, base: Any, primitives: Mapping[str, Any], better: Mapping[str, Any] = _NONE) -> None:
        self.__dict__.update(primitives)
        self._base = base
        for name, function in (numerics.DEFAULTS | dict(better)).items():
            self.__dict__.setdefault(name, functools.partial(function, self))

    def __getattr__(self, name: str) -> Any:
        return getattr(self, OLD_NAMES[name]) if name in OLD_NAMES else getattr(self._base, name)

    def sharing(self) -> Any:
        """The same names, for one evaluation in which what is `shared` is computed once."""
        other = object.__new__(Combined)
        other.__dict__.update(self.__dict__, memo={})
        return other


def namespace(base: Any, primitives: Any, better: Mapping[str, Any] = _NONE) -> Any:
    """The names of an array namespace, together with those of its adapter.

    Args:
        base: the framework's array API.
        primitives: what it lacks, by name; or the module of the adapter that has these functions.
        better: functions over the whole, `xp` first, that take the place of defaults (`xla.XLA`).
    """
    if not isinstance(primitives, Mapping):
        adapter, found = primitives.__name__.partition(".")[0], vars(primitives).items()
        primitives = {n: f for n, f in found if callable(f) and f.__module__.partition(".")[0] == adapter}
    return Combined(base, primitives, better)
