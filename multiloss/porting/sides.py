"""One side of a comparison: any callable, run on NumPy arrays in its own framework. Imports no framework by itself."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from multiloss.engine import dispatch
from multiloss.engine import loss as losses
from multiloss.engine.loss import Named
from multiloss.version import __version__

Arrays = Mapping[str, np.ndarray]

_MOST_DIFFERENCES = 2000
_WAYS = (("float64", True, False), ("float64", False, False), ("float32", True, False), ("float32", False, False),
         ("float64", True, True), ("float32", True, True))  # fmt: skip
COARSE = "coarse central differences"
"""How a gradient of what is computed in float32 was found."""


@dataclasses.dataclass
class Side:
    """A callable, the order it takes its arrays in, and where it runs."""

    name: str
    """"a" or "b"."""
    call: Any
    text: str
    order: tuple[str, ...]
    candidates: tuple[str, ...]
    """Frameworks it may be of, the likeliest first."""
    definition: Any = None
    """The definition here that it is known to be, with `options`; None of a user's function."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    library: str | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    framework: str | None = None
    """Set by `settle`, with the two below."""
    dtype: str = "float64"
    integers: bool = True
    """Whether integer arrays are given as such; False gives them as floating-point numbers."""
    one_hot: bool = False
    """Whether it takes labels encoded."""

    @functools.cached_property
    def takes_weight(self) -> bool:
        """Whether it has a parameter `sample_weight`."""
        return any(name == "sample_weight" for name in parameters(self.call))

    def settle(self, arrays: Arrays, weight: np.ndarray | None, *, encode: bool = True) -> str | None:
        """Find the framework and dtype it runs with on these arrays, labels encoded where it takes none (`encode`);
        the error of the likeliest where it runs with none."""
        first = None
        for candidate in self.candidates:
            for dtype, integers, one_hot in _WAYS:
                if one_hot and not (encode and labels_in(self.order, arrays)):
                    continue
                self.framework, self.dtype, self.integers, self.one_hot = candidate, dtype, integers, one_hot
                try:
                    with warnings.catch_warnings(record=True) as caught:
                        warnings.simplefilter("always")
                        out = self.run(arrays, weight)
                        to_numpy(out)
                except Exception as error:  # whatever a user's function does wrong is in the report
                    first = first or f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                    continue
                # what it returns tells more than what it takes: jax.numpy takes NumPy arrays
                found = dispatch.framework_of(out)
                if len(self.candidates) > 1 and candidate == "numpy" and found not in (None, "numpy"):
                    self.framework = found
                elif len(self.candidates) > 1 and candidate != "numpy" and found in (None, "numpy"):
                    self.framework = "numpy"
                    if self.values(arrays, weight) is None:
                        self.framework = candidate
                warned = [f"warned: {' '.join(str(w.message).split())[:200]}" for w in caught[:2]]
                self.notes += [note for note in dict.fromkeys(warned) if note not in self.notes]
                return None
        self.framework, self.dtype, self.integers, self.one_hot = self.candidates[0], *_WAYS[0]
        return first or "there is no framework to run it in"

    def inputs(self, arrays: Arrays) -> list[Any]:
        """The arrays in its order and framework."""
        missing = [name for name in self.order if name not in arrays]
        if missing:
            raise TypeError(f"it takes ({', '.join(self.order)}), and {missing[0]} is missing")
        if self.one_hot and (name := labels_in(self.order, arrays)):
            classes = arrays["y_pred"].shape[-1]
            arrays = {**arrays, name: (arrays[name][..., None] == np.arange(classes)).astype(np.float64)}
        return [self.native(arrays[name]) for name in self.order]

    def native(self, array: np.ndarray) -> Any:
        """An array of its framework."""
        if array.dtype.kind == "f" or (array.dtype.kind in "iub" and not self.integers):
            array = array.astype(self.dtype)
        return to_native(str(self.framework), array, self.device)

    @functools.cached_property
    def device(self) -> Any:
        """Where a torch module has its weights."""
        tensors = [*getattr(self.call, "parameters", list)(), *getattr(self.call, "buffers", list)()]
        return tensors[0].device if tensors and hasattr(tensors[0], "device") else None

    def run(self, arrays: Arrays, weight: np.ndarray | None = None) -> Any:
        """What the callable returns, as it is."""
        return self.apply(self.inputs(arrays), weight)

    def apply(self, inputs: list[Any], weight: np.ndarray | None) -> Any:
        """The same of native arrays."""
        weights = {} if weight is None or not self.takes_weight else {"sample_weight": self.native(weight)}
        with np.errstate(all="ignore"):
            return self.call(*inputs, **weights)

    def run_quietly(self, arrays: Arrays, weight: np.ndarray | None = None) -> Any:
        """The same without warnings."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.run(arrays, weight)

    @property
    def x64(self) -> bool:
        """Whether its framework has float64."""
        return concrete(str(self.framework)) != "jax" or bool(sys.modules["jax"].config.jax_enable_x64)

    def values(self, arrays: Arrays, weight: np.ndarray | None = None) -> np.ndarray | None:
        """Its value or values; None where it fails."""
        try:
            return to_numpy(self.run_quietly(arrays, weight)).astype(np.float64)
        except Exception:  # a hypothesis that does not run is no explanation
            return None

    def mean(self, arrays: Arrays, weight: np.ndarray | None = None) -> float:
        """The mean of its values; nan where it fails."""
        values = self.values(arrays, weight)
        return float(values.mean()) if values is not None and values.size else float("nan")

    def gradient(self, arrays: Arrays, wrt: str, weight: np.ndarray | None = None) -> tuple[np.ndarray | None, str]:
        """Gradient of the sum of its values, and how it was found; None where it has none."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._gradient(arrays, wrt, weight)
        except Exception as error:
            return None, f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"

    def _gradient(self, arrays: Arrays, wrt: str, weight: np.ndarray | None) -> tuple[np.ndarray | None, str]:
        kind = concrete(str(self.framework))
        at = self.order.index(wrt)
        inputs = self.inputs(arrays)
        if isinstance(self.call, Named):
            try:
                weights = {} if weight is None else {"sample_weight": self.native(weight)}
                named: Any = self.call
                found = named.value_and_grad(*inputs, **weights, wrt=wrt)[1]
                return to_numpy(found).astype(np.float64), "value_and_grad"
            except (ImportError, NotImplementedError):  # NumPy without a closed form
                return self._differences(arrays, wrt, weight)

        def total(x: Any) -> Any:
            out = self.apply([*inputs[:at], x, *inputs[at + 1 :]], weight)
            return out.sum() if hasattr(out, "sum") else out

        if kind == "torch":
            torch = sys.modules["torch"]
            x = inputs[at].detach().clone().requires_grad_()
            with torch.enable_grad():
                out = total(x)
                found = torch.autograd.grad(out, x, allow_unused=True)[0] if out.requires_grad else None
        elif kind == "tensorflow":
            tf = sys.modules["tensorflow"]
            with tf.GradientTape() as tape:
                tape.watch(inputs[at])
                out = tf.reduce_sum(self.apply(inputs, weight))
            found = tape.gradient(out, inputs[at])
            found = None if found is None else tf.convert_to_tensor(found)
        elif kind == "jax":
            found = sys.modules["jax"].grad(total)(inputs[at])
        else:
            return self._differences(arrays, wrt, weight)
        how = {"torch": "torch.autograd", "tensorflow": "tf.GradientTape", "jax": "jax.grad"}[kind]
        return (None, "none: the value does not depend on it") if found is None else (
            to_numpy(found).astype(np.float64), how)  # fmt: skip

    def _differences(self, arrays: Arrays, wrt: str, weight: np.ndarray | None) -> tuple[np.ndarray | None, str]:
        """Central differences of the sum, extrapolated once; larger ones where it sees no small ones."""
        at = arrays[wrt].astype(np.float64)
        if at.size > _MOST_DIFFERENCES:
            raise ValueError(f"no differences of more than {_MOST_DIFFERENCES} elements are taken")
        value = self.values(arrays, weight)
        if value is None or not np.isfinite(value).all():
            return None, "none: the value is not finite"
        step, how = 1e-4, "central differences"
        for blind, larger in ((1e-11, 1e-2), (1e-6, None)):
            moved = self.values({**arrays, wrt: at * (1 + blind)}, weight)
            if (
                moved is not None
                and value is not None
                and np.array_equal(moved, value)
                and np.any(value)
                and np.any(at)
            ):
                if larger is None:
                    return None, "none: it sees no differences that are small enough to take"
                step, how = larger, COARSE
        gradient = np.zeros(at.shape)
        for index in np.ndindex(at.shape):
            slopes = []
            for h in (step * max(1.0, abs(float(at[index]))), step / 2 * max(1.0, abs(float(at[index])))):
                ends = []
                for sign in (1, -1):
                    moved = at.copy()
                    moved[index] += sign * h
                    ends.append(to_numpy(self.run({**arrays, wrt: moved}, weight)).astype(np.float64).sum())
                slopes.append((ends[0] - ends[1]) / (2 * h))
            gradient[index] = (4 * slopes[1] - slopes[0]) / 3
        return gradient, how

    def unreduced(self) -> Side | None:
        """The same with one value for each sample, where it has a `reduction`."""
        call = self.call
        if isinstance(call, Named):
            other: Any = losses.make(dataclasses.replace(call.spec, reduction="none"), call.backend)
        elif "reduction" in parameters(call):
            other = functools.partial(call, reduction="none")
        elif isinstance(getattr(call, "reduction", None), str):
            other = object.__new__(type(call))  # Keras' own copy finds no class that is not registered
            vars(other).update(vars(call))
            other.reduction = "none"
        else:
            return None
        return dataclasses.replace(self, call=other, notes=[])

    @property
    def version(self) -> str:
        """Framework and version, of the library too."""
        parts = [self.library] if self.library else []
        parts += [] if self.framework in parts else [str(self.framework)]
        parts += [concrete(str(self.framework))] if self.framework == "keras" else []
        return " on ".join(f"{part} {_version(part)}".strip() for part in parts)


def labels_in(order: tuple[str, ...], arrays: Arrays) -> str | None:
    """The name of integer labels, one a sample, of the classes of y_pred (N, C), if there are."""
    if set(order) != {"y_true", "y_pred"} or not set(order) <= set(arrays):
        return None
    y_true, y_pred = arrays["y_true"], arrays["y_pred"]
    return "y_true" if y_true.dtype.kind in "iu" and y_true.ndim == 1 and y_pred.ndim == 2 else None


def _version(module: str) -> str:
    return __version__ if module == "multiloss" else str(getattr(sys.modules.get(module), "__version__", ""))


def concrete(framework: str) -> str:
    """The framework behind Keras; any other is itself."""
    return str(sys.modules["keras"].backend.backend()) if framework == "keras" else framework


def to_native(framework: str, array: np.ndarray, device: Any = None) -> Any:
    """An array of a framework that is imported."""
    kind = concrete(framework)
    if kind == "torch":
        tensor = importlib.import_module("torch").from_numpy(np.array(array))
        return tensor if device is None else tensor.to(device)
    if kind == "tensorflow":
        return importlib.import_module("tensorflow").convert_to_tensor(array)
    if kind == "jax":
        return importlib.import_module("jax.numpy").asarray(array)
    return np.array(array)


def to_numpy(x: Any) -> np.ndarray:
    """The numbers of any framework's array, list or number."""
    framework = dispatch.framework_of(x)
    if framework == "torch":
        x = x.detach().cpu()
        x = x.float().numpy() if "bfloat16" in str(x.dtype) else x.numpy()
    elif hasattr(x, "numpy"):
        x = x.numpy()
    elif framework == "keras":
        return to_numpy(x.value)
    array = np.asarray(x)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"real numbers are wanted, got {type(x).__name__} of {array.dtype}")
    return array


def parameters(call: Any) -> list[str]:
    """The names of what a callable takes; none where Python cannot tell."""
    if isinstance(call, Named):
        return [*call.spec.definition.inputs, "sample_weight", "mask"]
    target = getattr(call, "forward", None) or call
    try:
        return list(inspect.signature(target).parameters)
    except (TypeError, ValueError):
        return []
