"""One side of a comparison: any callable, run on NumPy arrays in its own framework. Imports no framework by itself."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from multiloss.engine import dispatch
from multiloss.engine import loss as losses
from multiloss.engine.loss import LossObject
from multiloss.version import __version__

Arrays = Mapping[str, np.ndarray]
Gradient = tuple[np.ndarray | None, str]
"""It, and how it was found; None, and why there is none."""

COARSE = "coarse central differences"
"""How a gradient of what computes in float32 was found."""
_MOST_DIFFERENCES = 2000
"""So many elements are moved one by one; more take too long."""


class Given(NamedTuple):
    """How a side is given the arrays, as not each takes what the user has."""

    dtype: str = "float64"
    integers: bool = True  #: Whether integers are given as such; else as floating-point numbers.
    one_hot: bool = False  #: Whether labels are given as one-hot targets.


_USUAL = Given()
_WAYS = (_USUAL, Given(integers=False), Given("float32"), Given("float32", integers=False), Given(one_hot=True),
         Given("float32", one_hot=True))  # fmt: skip


@dataclasses.dataclass
class Side:
    """A callable, the order it takes its arrays in, and where it runs."""

    call: Any
    text: str
    order: tuple[str, ...]
    candidates: tuple[str, ...]  #: Frameworks it may be of, the likeliest first.
    definition: Any = None  #: The definition here that it is known to be, with `options`; None of a user's function.
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    library: str | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    framework: str = "numpy"  #: Found by `settle`, as are the two below.
    given: Given = _USUAL
    returns: str = "float64"  #: The dtype of what it returns.

    def settle(self, arrays: Arrays, weight: np.ndarray | None, *, encode: bool = True) -> str | None:
        """Find the framework that it runs in with these arrays, and how they must be given; labels only as one-hot
        targets if `encode`. Where it runs in none: the error of the likeliest."""
        errors = []
        encoded = encode and labels_in(self.order, arrays) is not None
        for framework, way in itertools.product(self.candidates, _WAYS):
            if way.one_hot and not encoded:
                continue
            self.framework, self.given = framework, way
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    out = self.run(arrays, weight)
                    to_numpy(out)
            except Exception as error:  # whatever a user's function does wrong is in the report
                errors.append(told(error, 300))
                continue
            dtype = getattr(out, "dtype", "float64")
            self.returns = str(getattr(dtype, "name", dtype)).removeprefix("torch.")
            # What it returns tells more than what it takes: jax.numpy takes NumPy arrays.
            returned = dispatch.framework_of(out) or "numpy"
            if len(self.candidates) > 1 and framework != returned and "numpy" in (framework, returned):
                self.framework = returned
                if self.values(arrays, weight) is None:
                    self.framework = framework
            warned = [f"warned: {' '.join(str(w.message).split())[:200]}" for w in caught[:2]]
            self.notes += [note for note in dict.fromkeys(warned) if note not in self.notes]
            return None
        self.framework, self.given = self.candidates[0], _USUAL
        return errors[0]

    @functools.cached_property
    def takes_weight(self) -> bool:
        """Whether it has a parameter `sample_weight`."""
        return "sample_weight" in parameters(self.call)

    def inputs(self, arrays: Arrays) -> list[Any]:
        """The arrays in its order and framework."""
        missing = [name for name in self.order if name not in arrays]
        if missing:
            raise TypeError(f"it takes ({', '.join(self.order)}), and {missing[0]} is missing")
        if self.given.one_hot and (name := labels_in(self.order, arrays)):
            hot = arrays[name][..., None] == np.arange(arrays["y_pred"].shape[-1])
            arrays = {**arrays, name: hot.astype(np.float64)}
        return [self.native(arrays[name]) for name in self.order]

    def native(self, array: np.ndarray) -> Any:
        """An array of its framework, where its weights are, if it has some."""
        if array.dtype.kind == "f" or (array.dtype.kind in "iub" and not self.given.integers):
            array = array.astype(self.given.dtype)
        tensors = [*getattr(self.call, "parameters", list)(), *getattr(self.call, "buffers", list)()]
        like = next((tensor for tensor in tensors if hasattr(tensor, "device")), None)
        return dispatch.backend(concrete(self.framework)).asarray(np.array(array), like, "array")

    def apply(self, inputs: list[Any], weight: np.ndarray | None) -> Any:
        """What the callable returns for native arrays."""
        weights = {} if weight is None or not self.takes_weight else {"sample_weight": self.native(weight)}
        with np.errstate(all="ignore"):
            return self.call(*inputs, **weights)

    def run(self, arrays: Arrays, weight: np.ndarray | None = None) -> Any:
        """What the callable returns, as it is."""
        return self.apply(self.inputs(arrays), weight)

    def values(self, arrays: Arrays, weight: np.ndarray | None = None) -> np.ndarray | None:
        """Its value or values; None where it fails."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return to_numpy(self.run(arrays, weight)).astype(np.float64)
            except Exception:  # a hypothesis that does not run is no explanation
                return None

    def mean(self, arrays: Arrays, weight: np.ndarray | None = None) -> float:
        """The mean of its values; nan where it fails."""
        values = self.values(arrays, weight)
        return float(values.mean()) if values is not None and values.size else float("nan")

    def gradient(self, arrays: Arrays, wrt: str, weight: np.ndarray | None = None) -> Gradient:
        """Gradient of the sum of its values."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return self._gradient(arrays, wrt, weight)
            except Exception as error:
                return None, f"failed: {told(error, 200)}"

    def _gradient(self, arrays: Arrays, wrt: str, weight: np.ndarray | None) -> Gradient:
        inputs, at = self.inputs(arrays), self.order.index(wrt)
        if isinstance(self.call, LossObject):
            weights = {} if weight is None else {"sample_weight": self.native(weight)}
            try:
                named: Any = self.call
                found, how = named.value_and_grad(*inputs, **weights, wrt=wrt)[1], "value_and_grad"
            except (ImportError, NotImplementedError):  # NumPy without a closed form
                return self._differences(arrays, wrt, weight)
        elif (kind := concrete(self.framework)) in _GRADIENTS:

            def total(x: Any) -> Any:
                out = self.apply([*inputs[:at], x, *inputs[at + 1 :]], weight)
                return out.sum() if hasattr(out, "sum") else out

            how, differentiate = _GRADIENTS[kind]
            found = differentiate(total, inputs[at])
        else:
            return self._differences(arrays, wrt, weight)
        return (None, "none: the value does not depend on it") if found is None else (
            to_numpy(found).astype(np.float64), how)  # fmt: skip

    def _differences(self, arrays: Arrays, wrt: str, weight: np.ndarray | None) -> Gradient:
        """Central differences of the sum, extrapolated once; larger ones where it does not see small ones."""
        at = arrays[wrt].astype(np.float64)
        if at.size > _MOST_DIFFERENCES:
            raise ValueError(f"no differences of more than {_MOST_DIFFERENCES} elements are taken")
        value = self.values(arrays, weight)
        if value is None or not np.isfinite(value).all():
            return None, "none: the value is not finite"

        def blind(step: float) -> bool:
            moved = self.values({**arrays, wrt: at * (1 + step)}, weight)
            return bool(moved is not None and np.array_equal(moved, value) and np.any(value) and np.any(at))

        def slope(index: tuple[int, ...], h: float) -> float:
            ends = []
            for end in (at[index] + h, at[index] - h):
                moved = at.copy()
                moved[index] = end
                ends.append(to_numpy(self.run({**arrays, wrt: moved}, weight)).astype(np.float64).sum())
            return (ends[0] - ends[1]) / (2 * h)

        step, how = (1e-2, COARSE) if blind(1e-11) else (1e-4, "central differences")
        if how == COARSE and blind(1e-6):
            return None, "none: it sees no differences that are small enough to take"
        gradient = np.zeros(at.shape)
        for index in np.ndindex(at.shape):
            h = step * max(1.0, abs(float(at[index])))
            gradient[index] = (4 * slope(index, h / 2) - slope(index, h)) / 3
        return gradient, how

    def unreduced(self) -> Side | None:
        """The same with one value for each sample, where it has a `reduction`."""
        call = self.call
        if isinstance(call, LossObject):
            other: Any = losses.make(dataclasses.replace(call.spec, reduction="none"), call.backend)
        elif "reduction" in parameters(call):
            other = functools.partial(call, reduction="none")
        elif isinstance(getattr(call, "reduction", None), str):
            other = object.__new__(type(call))  # Keras' own copy finds no class that is not registered
            vars(other).update(vars(call), reduction="none")
        else:
            return None
        return dataclasses.replace(self, call=other, notes=[])

    def remarks(self) -> list[str]:
        """How it is run, if not as the user gave the arrays."""
        narrow = self.given.dtype == "float64" != self.returns and self.framework == "jax"
        found = {
            f"was given {self.given.dtype} arrays: it does not run with float64": self.given.dtype != "float64",
            "JAX computes in float32 here: jax_enable_x64 is off":
                narrow and not sys.modules["jax"].config.jax_enable_x64,
            "was given integers as floating-point numbers: it does not run with integers": not self.given.integers,
            "was given the labels as one-hot targets: it does not run with labels": self.given.one_hot,
        }  # fmt: skip
        return [text for text, holds in found.items() if holds]

    @property
    def version(self) -> str:
        """Framework and version, of the library too."""
        behind = concrete(self.framework) if self.framework == "keras" else None
        parts = [part for part in dict.fromkeys((self.library, self.framework, behind)) if part]
        own = {"multiloss": __version__}
        versions = [own.get(part) or getattr(sys.modules.get(part), "__version__", "") for part in parts]
        return " on ".join(f"{part} {version}".strip() for part, version in zip(parts, versions, strict=True))


def _torch_gradient(total: Callable[[Any], Any], x: Any) -> Any:
    torch = sys.modules["torch"]
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        out = total(x)
    return torch.autograd.grad(out, x, allow_unused=True)[0] if out.requires_grad else None


def _tensorflow_gradient(total: Callable[[Any], Any], x: Any) -> Any:
    tf = sys.modules["tensorflow"]
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = total(x)
    found = tape.gradient(out, x)  # of the sum, if there are several values
    return None if found is None else tf.convert_to_tensor(found)


_GRADIENTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "torch": ("torch.autograd", _torch_gradient),
    "tensorflow": ("tf.GradientTape", _tensorflow_gradient),
    "jax": ("jax.grad", lambda total, x: sys.modules["jax"].grad(total)(x)),
}


def told(error: Exception, most: int) -> str:
    """The error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:most]}"


def labels_in(order: tuple[str, ...], arrays: Arrays) -> str | None:
    """The name of integer labels, one a sample, of the classes of y_pred (N, C), if there are."""
    if set(order) != {"y_true", "y_pred"} or not set(order) <= set(arrays):
        return None
    y_true, y_pred = arrays["y_true"], arrays["y_pred"]
    return "y_true" if y_true.dtype.kind in "iu" and y_true.ndim == 1 and y_pred.ndim == 2 else None


def concrete(framework: str) -> str:
    """The framework behind Keras; any other is itself."""
    return str(sys.modules["keras"].backend.backend()) if framework == "keras" else framework


def to_numpy(x: Any) -> np.ndarray:
    """The numbers of any framework's array, list or number."""
    array = np.asarray(dispatch.to_host(x.value if dispatch.framework_of(x) == "keras" else x))
    if array.dtype.kind not in "fiub":
        raise TypeError(f"real numbers are wanted, got {type(x).__name__} of {array.dtype}")
    return array


def parameters(call: Any) -> list[str]:
    """The names of what a callable takes; none where Python cannot tell."""
    if isinstance(call, LossObject):
        return [*call.spec.definition.inputs, "sample_weight", "mask"]
    try:
        return list(inspect.signature(getattr(call, "forward", None) or call).parameters)
    except (TypeError, ValueError):
        return []
