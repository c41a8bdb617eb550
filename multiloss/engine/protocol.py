"""What an adapter must offer. `multiloss_numpy` is the shortest one to read.

An adapter is a module (`backends/multiloss_X`) with the names of `Adapter`. Its `xp` is the array namespace that
definitions are written over: the framework's array API, the primitives of `Namespace`, and those of `numerics`.
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
    """The primitives that every adapter has to give besides the array API. All others are in
    `multiloss.engine.numerics`, each over any namespace; an adapter may replace them by better ones."""

    def stop_gradient(self, x: Array) -> Array:
        """x, as a constant."""

    def lgamma(self, x: Array) -> Array:
        """log |Gamma(x)|, infinite at the poles; log(x!) is `lgamma(x + 1)`."""

    def put_rows(self, table: Array, rows: Array, values: Array) -> Array:
        """A copy of the table with some rows replaced. A row that is named twice has the same values both times."""

    def segment_sum(self, values: Array, segments: Array, like: Array) -> Array:
        """The sum of the values of each segment, as an array with as many rows as `like`."""


class Group(Protocol):
    """The processes (or devices) that one updating call of a center loss runs on; see `multiloss.center.step`."""

    def gathers(self, classes: int, dim: int, samples: int) -> bool:
        """Whether the batches travel (each to all), and not one sum for each class (there and back): what is less."""

    def gather(self, x: Array) -> Array:
        """The arrays of all processes, concatenated along the first axis."""

    def sum(self, x: Array) -> Array:
        """The sum over all processes."""


class Adapter(Protocol):
    """What `multiloss_X` has: `loss` and `center`, and what the engine asks about arrays, in its `arrays.py`."""

    name: str
    """The backend's name, `multiloss.get(..., backend=name)`."""

    xp: Namespace

    def loss(self, spec: Any) -> Any:
        """The native loss object of a `multiloss.engine.loss.Spec`."""

    def center(self, options: Any) -> Any:
        """Optional: the native object of a loss that holds centers."""

    def asarray(self, x: Any, like: Array | None, name: str) -> Array:
        """A native array of the argument `name`. Lists, numbers and NumPy arrays go to the device of `like`; native
        arrays stay as they are, and are refused on another device, as are those of other frameworks."""

    def is_native(self, x: Any) -> bool:
        """Whether x is one of the framework's arrays."""

    def shape(self, x: Array) -> tuple[int | None, ...]:
        """The shape; a length that is not known while tracing is None."""

    def dtype_kind(self, x: Array) -> str:
        """NumPy's letter: 'b' bool, 'i' signed or 'u' unsigned integer, 'f' real, 'c' complex; '?' anything else."""

    def signature(self, x: Array) -> Any:
        """Shape, dtype and device, hashable; None for a traced x, or one that is not a plain array."""

    def compute(self, x: Array) -> Array:
        """x in the dtype that losses are computed in: float32 for half precision; for integers the default float, at
        least float32."""

    def cast_like(self, x: Array, like: Array) -> Array:
        """x in the dtype of `like`."""

    def labels(self, x: Array) -> Array:
        """Integer labels, widened to int64 (JAX without x64: int32)."""

    def host(self, x: Array) -> Any:
        """x as a NumPy array, or None where its values cannot be read without a wait: traced, fake, on an
        accelerator."""

    differentiates: bool
    """Optional: False for a framework without automatic differentiation, where only closed forms give gradients."""
    has_half: bool
    """Optional: False for a framework without float16."""

    def own_value(self, spec: Any, *inputs: Array | None) -> Array | None:
        """Optional: the reduced loss by a kernel of the framework, for samples that all count alike; None: no
        kernel."""

    def own_values(self, spec: Any, *inputs: Array | None) -> Array | None:
        """Optional: the value of each sample by a kernel of the framework; None: no kernel."""

    def labels_fit(self, x: Array, classes: int) -> bool:
        """Optional: whether all labels can be read and are in [0, classes), if this is quicker than `host`."""

    def fitted(
        self, spec: Any, how: Any, inputs: dict[str, Array], weight: Array | None, mask: Array | None
    ) -> tuple[dict[str, Array], Array | None, Array | None]:
        """Optional, for lengths that are not known while tracing: inputs by name, weights and mask, made to fit each
        other at run time. `how.names` says which lengths are the same (`multiloss.engine.layout`)."""

    def rows_like(self, x: Array, main: Array) -> Array:
        """Optional, for lengths that are not known while tracing: x, one number for each row of `main`, with a last
        axis of length 1."""

    def summed_to(self, x: Array, like: Array) -> Array:
        """Optional, for lengths that are not known while tracing: x, the derivative by what `like` was broadcast to,
        summed to the derivative by `like`, which has one number for each row of x or lengths of 1."""

    def centers_array(self, centers: Any, like: Array | None = None) -> Array:
        """A table of centers on the device of `like` (features): float64 if that is in double precision, else
        float32."""

    def group(self, table: Any = None, chosen: Any = None) -> Group | None:
        """Optional: the processes that an updating call runs together with (`tf.distribute`, `torch.distributed`), or
        None; `chosen` is the user's choice."""

    def write_rows(self, table: Any, labels: Array, rows: Array) -> None:
        """Optional: write rows into a variable of the framework in place."""

    def refuse_recomputation(self) -> None:
        """Optional: raise RuntimeError if activation checkpointing will compute this call twice."""

    def closed_form(self, value: Any, gradients: Mapping[int, Any], *arrays: Array) -> Array:
        """`value(*arrays)`, whose derivative by `arrays[i]` is in closed form where `gradients` has i.

        `gradients[i]` is a pair: the function of all arrays that gives the derivative, itself differentiable, and the
        axes of the array that the value lacks. Or it is None: the value does not depend on that array. By any other
        array the framework differentiates the expression.
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
"""Earlier names of primitives, which losses of users may still call."""


class Combined:
    """An array namespace with the primitives of an adapter, which come first, and the defaults of `numerics`."""

    memo: dict[Any, Any] | None = None
    """The results of `shared` parts in one evaluation; None where nothing is kept (`sharing`)."""

    def __init__(self, base: Any, primitives: Mapping[str, Any], better: Mapping[str, Any] = _NONE) -> None:
        self.__dict__.update(primitives)
        self._base = base
        for name, function in (numerics.DEFAULTS | dict(better)).items():
            self.__dict__.setdefault(name, functools.partial(function, self))

    def __getattr__(self, name: str) -> Any:
        return getattr(self, OLD_NAMES[name]) if name in OLD_NAMES else getattr(self._base, name)

    def sharing(self) -> Any:
        """The same names, for one evaluation that computes each `shared` part once."""
        other = object.__new__(Combined)
        other.__dict__.update(self.__dict__, memo={})
        return other


def namespace(base: Any, primitives: Any, better: Mapping[str, Any] = _NONE) -> Any:
    """An array namespace with the primitives of its adapter.

    Args:
        base: the framework's array API.
        primitives: what it lacks, by name; or the adapter's module of them: its functions, and the framework's own
            functions under our names in its dictionary `SAME`.
        better: functions that take the whole namespace as `xp`, in place of defaults (`xla.XLA`).
    """
    if not isinstance(primitives, Mapping):
        adapter, found = primitives.__name__.partition(".")[0], vars(primitives)
        own = {n: f for n, f in found.items() if callable(f) and f.__module__.partition(".")[0] == adapter}
        primitives = found.get("SAME", {}) | own
    return Combined(base, primitives, better)
