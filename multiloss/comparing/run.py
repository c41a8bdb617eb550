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

Arrays = Mapping[str, np.ndarray]

COARSE = "coarse central differences"
"""How a gradient of what computes in float32 was found."""
_MOST_DIFFERENCES = 2000
"""So many elements are moved one by one; more take too long."""


class Given(NamedTuple):
    """How a side is given the arrays, as not each takes what the user has."""

    dtype: str = "float64"
    integers: bool = True  #: Whether integers are given as such; else as floating-point numbers.
    one_hot: bool = False  #: Whether labels are given as one-hot targets.


_WAYS = (Given(), Given(integers=False), Given("float32"), Given("float32", integers=False),
         Given(one_hot=True), Given("float32", one_hot=True))  # fmt: skip


@dataclasses.dataclass
class Side:
    """A callable, the order it takes its arrays in, and where it runs."""

    call: Any
    text: str
    order: tuple[str, ...]
    candidates: tuple[str, ...]  #: Frameworks it may be of, the likeliest first.
    definition: Any = None  #: The definition here that it is known to be; None of a user's function.
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  #: Those of the definition.
    library: str | None = None
    notes: tuple[str, ...] = ()
    framework: str = "numpy"  #: Found by `settle`, as are those below.
    given: Given = _WAYS[0]
    returns: str = "float64"  #: The dtype of what it returns.
    warned: tuple[str, ...] = ()

    def settle(self, arrays: Arrays, weight: np.ndarray | None, *, encode: bool = True) -> str | None:
        """Find the framework that it runs in with these arrays, and how they must be given; labels only as
        one-hot targets if `encode`. If it runs in none, the error of the likeliest."""
        errors, self.warned = [], ()
        encode = encode and self._labels(arrays)
        for framework, way in itertools.product(self.candidates, _WAYS[: None if encode else 4]):
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
            self.warned = tuple(f"warned: {' '.join(str(w.message).split())[:200]}" for w in caught[:2])
            # What it returns tells more than what it takes: jax.numpy takes NumPy arrays.
            returned = dispatch.framework_of(out) or "numpy"
            if len(self.candidates) > 1 and framework != returned and "numpy" in (framework, returned):
                self.framework = returned
                if self.values(arrays, weight) is None:
                    self.framework = framework
            return None
        self.framework, self.given = self.candidates[0], _WAYS[0]
        return errors[0]

    @functools.cached_property
    def takes_weight(self) -> bool:
        """Whether it has a parameter `sample_weight`."""
        return "sample_weight" in parameters(self.call)

    def _labels(self, arrays: Arrays) -> bool:
        """Whether there are integer labels, one a sample, of the classes of y_pred (N, C)."""
        if {"y_true", "y_pred"} - {*arrays} or {"y_true", "y_pred"} != {*self.order}:
            return False
        y_true, y_pred = arrays["y_true"], arrays["y_pred"]
        return y_true.dtype.kind in "iu" and y_true.ndim == 1 and y_pred.ndim == 2

    def _native(self, array: np.ndarray) -> Any:
        """An array of its framework, where its weights are, if it has some."""
        if array.dtype.kind == "f" or (array.dtype.kind in "iub" and not self.given.integers):
            array = array.astype(self.given.dtype)
        tensors = [*getattr(self.call, "parameters", list)(), *getattr(self.call, "buffers", list)()]
        like = next((tensor for tensor in tensors if hasattr(tensor, "device")), None)
        return dispatch.backend(concrete(self.framework)).asarray(np.array(array), like, "array")

    def _inputs(self, arrays: Arrays, weight: np.ndarray | None) -> tuple[list[Any], dict[str, Any]]:
        """The arrays in its order and framework, and the weights by name, if it takes them."""
        missing = [name for name in self.order if name not in arrays]
        if missing:
            raise TypeError(f"it takes ({', '.join(self.order)}), and {missing[0]} is missing")
        if self.given.one_hot and self._labels(arrays):
            hot = arrays["y_true"][..., None] == np.arange(arrays["y_pred"].shape[-1])
            arrays = {**arrays, "y_true": hot.astype(np.float64)}
        named = {} if weight is None or not self.takes_weight else {"sample_weight": self._native(weight)}
        return [self._native(arrays[name]) for name in self.order], named

    def run(self, arrays: Arrays, weight: np.ndarray | None = None) -> Any:
        """What the callable returns, as it is."""
        inputs, weights = self._inputs(arrays, weight)
        with np.errstate(all="ignore"):
            return self.call(*inputs, **weights)

    def values(self, arrays: Arrays, weight: np.ndarray | None = None) -> np.ndarray | None:
        """Its value or values; None if it fails."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return to_numpy(self.run(arrays, weight)).astype(np.float64)
            except Exception:  # a hypothesis that does not run is no explanation
                return None

    def mean(self, arrays: Arrays, weight: np.ndarray | None = None) -> float:
        """The mean of its values; nan if it fails."""
        values = self.values(arrays, weight)
        return float(values.mean()) if values is not None and values.size else float("nan")

    def gradient(self, arrays: Arrays, wrt: str, weight: np.ndarray | None = None) -> tuple[np.ndarray | None, str]:
        """Gradient of the sum of its values, and how it was found; None, and why there is none."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return self._gradient(arrays, wrt, weight)
            except Exception as error:
                return None, f"failed: {told(error, 200)}"

    def _gradient(self, arrays: Arrays, wrt: str, weight: np.ndarray | None) -> tuple[np.ndarray | None, str]:
        (inputs, weights), at = self._inputs(arrays, weight), self.order.index(wrt)
        if isinstance(self.call, LossObject):
            try:
                call: Any = self.call
                found, how = call.value_and_grad(*inputs, **weights, wrt=wrt)[1], "value_and_grad"
            except (ImportError, NotImplementedError):  # NumPy without a closed form
                return self._differences(arrays, wrt, weight)
        elif (framework := concrete(self.framework)) in _GRADIENTS:

            def total(x: Any) -> Any:
                out = self.call(*inputs[:at], x, *inputs[at + 1 :], **weights)
                return out.sum() if hasattr(out, "sum") else out

            how, differentiate = _GRADIENTS[framework]
            found = differentiate(total, inputs[at])
        else:
            return self._differences(arrays, wrt, weight)
        if found is None:
            return None, "none: the value does not depend on it"
        return to_numpy(found).astype(np.float64), how

    def _differences(self, arrays: Arrays, wrt: str, weight: np.ndarray | None) -> tuple[np.ndarray | None, str]:
        """Central differences of the sum, extrapolated once; larger ones if it does not see small ones."""
        at = arrays[wrt].astype(np.float64)
        if at.size > _MOST_DIFFERENCES:
            raise ValueError(f"no differences of more than {_MOST_DIFFERENCES} elements are taken")

        def total(moved: Any) -> float:
            return float(to_numpy(self.run({**arrays, wrt: at + moved}, weight)).astype(np.float64).sum())

        def is_blind(step: float) -> bool:
            # Each element by its own factor: one factor for all leaves a cosine as it is.
            factors = step * np.random.default_rng(0).uniform(0.5, 1.0, at.shape)
            return value != 0 and bool(at.any()) and total(factors * at) == value

        value = total(0.0)
        if not np.isfinite(value):
            return None, "none: the value is not finite"
        step, how = (1e-2, COARSE) if is_blind(1e-11) else (1e-4, "central differences")
        if how == COARSE and is_blind(1e-6):
            return None, "none: it sees no differences that are small enough to take"
        gradient = np.zeros(at.shape)
        for index in np.ndindex(at.shape):
            h = np.zeros(at.shape)
            h[index] = step * max(1.0, abs(float(at[index])))
            near, far = ((total(k * h) - total(-k * h)) / (2 * k * h[index]) for k in (0.5, 1.0))
            gradient[index] = (4 * near - far) / 3
        return gradient, how

    def unreduced(self) -> Side | None:
        """The same with one value for each sample, if it has a `reduction`."""
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
        return dataclasses.replace(self, call=other)

    def remarks(self) -> tuple[str, ...]:
        """What the user should know about how it was run."""
        given, found = self.given, [*self.notes, *self.warned]
        if given.dtype != "float64":
            found.append(f"was given {given.dtype} arrays: it does not run with float64")
        elif self.framework == "jax" and self.returns != "float64" and not sys.modules["jax"].config.jax_enable_x64:
            found.append("JAX computes in float32 here: jax_enable_x64 is off")
        if not given.integers:
            found.append("was given integers as floating-point numbers: it does not run with integers")
        if given.one_hot:
            found.append("was given the labels as one-hot targets: it does not run with labels")
        return tuple(dict.fromkeys(found))

    @property
    def version(self) -> str:
        """Framework and version, of the library too."""
        behind = concrete(self.framework) if self.framework == "keras" else None
        parts = dict.fromkeys(part for part in (self.library, self.framework, behind) if part)
        versions = {part: getattr(sys.modules.get(part), "__version__", "") for part in parts}
        return " on ".join(f"{part} {version}".strip() for part, version in versions.items())


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
