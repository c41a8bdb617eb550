"""What the tests of the ports of PyTorch's losses share: how cases are written, drawn and chosen."""

from typing import Any

import numpy as np

REDUCTIONS = ("mean", "sum", "none")
SHAPES = ((7,), (4, 3), (2, 3, 2))
THREE = ("numpy", "torch", "tensorflow")
FOUR = (*THREE, "jax")


def generator(*key: Any) -> np.random.Generator:
    """One for each case."""
    return np.random.default_rng([ord(c) for c in repr(key)])


def some(reduction: str) -> tuple[str, ...]:
    """JAX compiles each call, so it is in a third of the cases."""
    return FOUR if reduction == "mean" else THREE


def form(name: str, **arguments: Any) -> str:
    """The written form."""
    return f"torch.nn.{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
