"""Native arrays of each backend, for the tests: made, read back, differentiated and compiled.

Frameworks are imported where they are first needed. `keras` means whichever framework Keras runs on.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEVICE = "cpu"
"""Where torch's tensors are made; `conftest.py` sets it."""


def framework(backend: str) -> str:
    """The framework behind a backend: that of Keras for `keras`, else the backend itself."""
    if backend != "keras":
        return backend
    import keras

    return str(keras.backend.backend())


def dtypes(backend: str) -> tuple[str, ...]:
    """The floating dtypes that the backend's arrays can have."""
    return ("float16", "float32", "float64") if backend == "numpy" else ("float16", "bfloat16", "float32", "float64")


def to_native(backend: str, array: Any, dtype: str | None = None) -> Any:
    """A native array that holds `array` (NumPy, numbers, lists), in `dtype` if it is given, else in its own."""
    given = np.asarray(array)
    name = dtype or str(given.dtype)
    if backend == "keras":
        import keras

        return keras.ops.convert_to_tensor(given, dtype=name)
    if backend == "torch":
        import torch

        wide = given.astype(np.float32) if str(given.dtype) == "bfloat16" else given
        return torch.from_numpy(np.array(wide)).to(DEVICE, getattr(torch, name))
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.cast(tf.convert_to_tensor(given), name)
    if backend == "jax":
        import jax.numpy as jnp

        out = jnp.asarray(given, dtype=name)
        assert str(out.dtype) == name, f"jax made {out.dtype} of {name}: is jax_enable_x64 off?"
        return out
    if backend == "numpy":
        return np.array(given, dtype=name)
    raise ValueError(backend)


def to_numpy(x: Any) -> NDArray[Any]:
    """The values of a native array, detached; bfloat16 comes as float32, which holds it exactly."""
    if type(x).__module__.partition(".")[0] == "torch":
        import torch

        x = x.detach().cpu()
        return np.asarray((x.float() if x.dtype is torch.bfloat16 else x).numpy())
    if hasattr(x, "numpy"):
        x = x.numpy()
    elif hasattr(x, "value") and not isinstance(x, np.generic | np.ndarray):  # a Keras variable
        return to_numpy(x.value)
    out = np.asarray(x)
    return out.astype(np.float32) if str(out.dtype) == "bfloat16" else out


def dtype_name(x: Any) -> str:
    """`float32` and the like, whatever the framework calls it."""
    dtype = x.dtype
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def native_grad(backend: str, fn: Callable[[Any], Any], array: Any) -> NDArray[Any]:
    """The gradient of `fn(x)`, summed, at `array`, by the framework's own automatic differentiation."""
    return native_value_and_grad(backend, fn, array)[1]


def native_value_and_grad(backend: str, fn: Callable[[Any], Any], array: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """`fn(x)` and the gradient of its sum, of one call; what is compiled is compiled once."""
    x = to_native(backend, array) if isinstance(array, np.ndarray) else array
    value, (gradient,) = _differentiated(backend, fn, [x])
    assert gradient is not None
    return to_numpy(value), gradient


def native_grads(backend: str, fn: Callable[..., Any], given: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The gradient of the sum of `fn(**given)` by each of `names`; None for one that is not in its graph."""

    def of_these(*inputs: Any) -> Any:
        return fn(**given | dict(zip(names, inputs, strict=True)))

    return dict(zip(names, _differentiated(backend, of_these, [given[name] for name in names])[1], strict=True))


def _differentiated(backend: str, fn: Callable[..., Any], inputs: list[Any]) -> tuple[Any, list[Any]]:
    """`fn(*inputs)`, and the gradients of its sum by all of them."""
    kind = framework(backend)
    if kind == "torch":
        import torch

        inputs = [x.detach().clone().requires_grad_() for x in inputs]
        with torch.enable_grad():
            value = fn(*inputs)
            found = torch.autograd.grad(value.sum(), inputs, allow_unused=True)
    elif kind == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = fn(*inputs)
        found = [None if x is None else tf.convert_to_tensor(x) for x in tape.gradient(value, inputs)]
    elif kind == "jax":
        import jax

        def summed(*inputs: Any) -> tuple[Any, Any]:
            values = fn(*inputs)
            return values.sum(), values

        found, value = jax.grad(summed, argnums=tuple(range(len(inputs))), has_aux=True)(*inputs)
    else:
        raise ValueError(f"{backend} has no automatic differentiation")
    return value, [None if x is None else to_numpy(x) for x in found]


def native_second(backend: str, fn: Callable[[Any], Any], array: Any, direction: Any) -> NDArray[Any]:
    """Hessian of the scalar `fn(x)` at `array`, times `direction`: reverse mode over reverse mode."""
    kind = framework(backend)
    x, v = array, direction
    if kind == "torch":
        import torch

        x = x.detach().clone().requires_grad_()
        with torch.enable_grad():
            first = torch.autograd.grad(fn(x).sum(), x, create_graph=True)[0]
        return to_numpy(torch.autograd.grad((first * v).sum(), x)[0])
    if kind == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = fn(x)
            total = tf.reduce_sum(inner.gradient(value, x) * v)
        return to_numpy(outer.gradient(total, x))
    if kind == "jax":
        import jax

        return to_numpy(jax.grad(lambda a: (jax.grad(fn)(a) * v).sum())(x))
    raise ValueError(f"{backend} has no automatic differentiation")


def native_second_forward(backend: str, fn: Callable[[Any], Any], array: Any, direction: Any) -> NDArray[Any]:
    """The same product by forward mode over reverse mode."""
    kind = framework(backend)
    x, v = array, direction
    if kind == "torch":
        import torch

        return to_numpy(torch.func.jvp(torch.func.grad(fn), (x,), (v,))[1])
    if kind == "tensorflow":
        import tensorflow as tf

        with tf.autodiff.ForwardAccumulator(x, v) as forward, tf.GradientTape() as tape:
            tape.watch(x)
            value = fn(x)
            first = tape.gradient(value, x)
        # TensorFlow says None, and not 0, of what is constant along the direction; so it does of tf.abs.
        return to_numpy(forward.jvp(first, unconnected_gradients="zero"))
    if kind == "jax":
        import jax

        return to_numpy(jax.jvp(jax.grad(fn), (x,), (v,))[1])
    raise ValueError(f"{backend} has no automatic differentiation")


def told_by_compiler(message: str) -> str:
    """The pattern of an error in what torch compiles: its own error keeps the message, but for that of torch 2.7."""
    import torch

    return message if torch.__version__ >= (2, 8) else f"{message}|Observed exception"


def jit(backend: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` compiled as a whole by the framework; NumPy has no compiler, there it is `fn`."""
    kind = framework(backend)
    if kind == "torch":
        import torch

        torch._dynamo.reset()  # what one test compiled shall not count towards the next one's recompile limit
        return torch.compile(fn, fullgraph=True)
    if kind == "tensorflow":
        import tensorflow as tf

        assert not tf.config.functions_run_eagerly(), "nothing would be compiled: mark the test `graph`"
        return tf.function(fn, jit_compile=True)
    if kind == "jax":
        import jax

        return jax.jit(fn)
    return fn
