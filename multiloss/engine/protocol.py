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
    """The array API of the framework, and what the array API lacks."""

    def stop_gradient(self, x: Array) -> Array:
        """x, as a constant."""

    def snapshot(self, x: Array) -> Array:
        """x, as a constant that keeps its values whatever is written to its source before the backward pass."""

    def logsumexp(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        """log(sum(exp(x))) over one axis, without overflow."""

    def log_softmax(self, x: Array, *, axis: int) -> Array:
        """x - logsumexp(x) over one axis."""

    def softmax(self, x: Array, *, axis: int) -> Array:
        """exp(log_softmax(x))."""

    def softplus(self, x: Array) -> Array:
        """log(1 + exp(x)), without overflow, right in both tails."""

    def expit(self, x: Array) -> Array:
        """1 / (1 + exp(-x)), right in both tails."""

    def clamp_min(self, x: Array, bound: float) -> Array:
        """max(x, bound), whose derivative at a tie is 1; nan stays nan."""

    def inf_below(self, x: Array, bound: float) -> Array:
        """x, and infinity where x < bound, so that a quotient by it is 0 there; nan stays nan."""

    def nan_below(self, x: Array, bound: float) -> Array | None:
        """A constant factor: 1, and nan where x is below the bound, or nan itself; None where x was read and all
        factors are 1."""

    def sign_or_one(self, x: Array) -> Array:
        """1 where x is 0 or above, else -1; a constant for derivatives. (A zero with a sign may have that.)"""

    def log_cosh(self, x: Array) -> Array:
        """log(cosh(x)), right for small x and for large."""

    def lgamma(self, x: Array) -> Array:
        """The logarithm of |Gamma(x)|, infinite at the poles; that of x! is `lgamma(x + 1)`."""

    def constant(self, values: Any, like: Array) -> Array:
        """Numbers (of an option) as an array in the dtype of `like`, where that is."""

    def zero_times(self, weight: Array, x: Array) -> Array:
        """weight * x, where a weight of 0 gives 0 even against an infinite x, which is a constant there. A nan stays
        one."""

    def signed_margin(self, target: Array, score: Array, absent: bool = False) -> Array:
        """target * score; a constant where that is infinity, so that a loss which is over there has no derivative of 0
        times infinity. If `absent`, a target of 0 gives 0 against an infinite score; a nan stays one."""

    def linear(self, x: Array, weight: Array) -> Array:
        """The product of each row of x, (..., D), and each of a weight, (C, D); infinite entries are 0 to its
        derivatives."""

    def safe_log_arg(self, weight: Array, x: Array, pole: float = 0.0) -> Array:
        """x, and 1 - pole where x is at the pole (0 or 1) and its weight 0: `weight * log(safe_log_arg(weight, x))` has
        0 log 0 = 0 and finite derivatives there, to which the term is a constant."""

    def with_derivative(self, value: Any, pulled: Any, x: Array) -> Array:
        """value(x), whose derivative takes g, one for each entry of the value, to pulled(x, g): nothing but x is kept
        for it, where its operations would keep large arrays."""

    def row_norm(self, x: Array) -> Array:
        """The Euclidean length over the last axis, whose derivative at 0 is 0; no square over- or underflows."""

    def unit_rows(self, x: Array, length: Array | None = None) -> Array:
        """x divided by its length over the last axis (`row_norm`, where that is known); a row of 0 stays one, with
        derivative 0."""

    def hinge(self, x: Array) -> Array:
        """max(0, x), whose derivative at 0 is 0; nan stays nan."""

    def finite_part(self, x: Array) -> Array:
        """x, and 0 where it is infinite; x itself where all of it was read and nothing is."""

    def above_zero(self, x: Array) -> Array:
        """1 where x is above 0, else 0, also where it is infinite; nan stays nan. Its derivative is 0."""

    def divisor(self, size: Array) -> Array:
        """What numbers up to this size are divided by, so that their squares neither overflow nor underflow."""

    def power_near(self, size: Array) -> Array:
        """A power of 2 near a size, 1 for one that is not finite: division by it changes no digit, and numbers up to
        that size then have squares in range."""

    def pair_squares(self, x: Array) -> Array:
        """(N, N): the squared Euclidean distance of each two rows of x, (N, D), from their difference, which is exact
        for close ones (|x|^2 + |y|^2 - 2xy is not). Squares have to stay in range."""

    def pair_gaps(self, x: Array, factor: Array) -> Array:
        """(N, D): for each row x_i the sum over j of factor_ij (x_i - x_j), from their differences."""

    def one_hot_times(self, values: Array, labels: Array, like: Array, axis: int) -> Array:
        """An array like `like`: the value of each sample at its label along `axis`, 0 at the other classes."""

    def constants(self, values: Any, like: Array, axis: int) -> Array:
        """Numbers along `axis`, of length 1 on the others; in the dtype and on the device of `like`."""

    def length(self, x: Array, axis: Any) -> Any:
        """How many elements `axis` (int, tuple, None) spans, at least 1; divides arrays of x's dtype."""

    def class_count(self, x: Array, axis: int) -> Any:
        """How many classes `axis` has, to compare labels with."""

    def class_range(self, x: Array, axis: int) -> Array:
        """0, 1, ... along `axis` of x, of length 1 on the others; int64, or the widest there is."""

    def gather(self, table: Array, rows: Array) -> Array:
        """The rows of a table, as a copy."""

    def put_rows(self, table: Array, rows: Array, values: Array) -> Array:
        """A table with some rows replaced; a row named twice must come with the same value."""

    def step_rows(
        self, rows: Array, total: Array, scale: float, by: Array | None, unless: Array | None, finite: bool
    ) -> Array:
        """rows - scale * total / by, (N, D) each; by: (N, 1), or a scalar, or None. A row stays, bit for bit, where its
        total is not finite (`finite`: they all are), and all do if the scalar `unless` is True."""

    def scan(self, step: Any, start: tuple[Array, ...], frames: tuple[Array, ...]) -> tuple[Array, ...]:
        """The last state of `state = step(state, frame)`, over the first axis of `frames`; compiled, if it can be, once
        for all of them."""

    def unique_labels(self, labels: Array) -> tuple[Array, Array, Array | None]:
        """The classes among the labels (N,), each once, the place of each label's class among them, and how often each
        is there; where shapes have to be known beforehand `labels` itself, for each one place that all of its class
        share, and None."""

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
    """What `multiloss_X/__init__.py` defines."""

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

    def kind(self, x: Array) -> str:
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

    def __init__(self, base: Any, primitives: dict[str, Any], better: Mapping[str, Any] = _NONE) -> None:
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
    """The names of an array namespace, together with the functions of its adapter that the module `primitives` has;
    `better` are functions over the whole (`numerics.XLA`) that take the place of the base's."""
    adapter = primitives.__name__.partition(".")[0]
    own = {n: f for n, f in vars(primitives).items() if callable(f) and f.__module__.partition(".")[0] == adapter}
    return Combined(base, own, better)
