"""Primitives that take fewer operations where all values are finite. Where values can be read, a look tells that."""

from __future__ import annotations

import math
from typing import Any

import torch

from multiloss.engine import logarithms, numerics, xla
from multiloss_torch import mode

Array = Any


def nan_below(xp: Any, x: Array, bound: float) -> Array | None:
    try:
        fine = mode.can_read(x) and (not x.numel() or x.detach().min().item() >= bound)
    except RuntimeError:  # traced by make_fx, which refuses to read
        fine = False
    if fine:
        return None
    if torch.compiler.is_compiling():
        return numerics.nan_below(xp, x, bound)
    return torch.threshold(x.detach(), mode.before(bound, x.dtype), math.nan).clamp(1, 1)  # nan, and any number 1


def log_cosh(xp: Any, x: Array) -> Array:
    return xla.log_cosh_by_exp(torch, x) if torch.compiler.is_compiling() else logarithms.log_cosh(xp, x)


def zero_times(xp: Any, weight: Array, x: Array) -> Array:
    product = weight * x
    return product if mode.is_finite(product) else numerics.zero_times(xp, weight, x)


def signed_margin(xp: Any, target: Array, score: Array, absent: bool = False) -> Array:
    product = target * score
    return product if mode.is_finite(product) else numerics.signed_margin(xp, target, score, absent)


def mix(xp: Any, x: Array, y: Array, weight: Array) -> Array:
    # One pass, and it takes the nearer end as base: exact at weights 0 and 1, no digits lost between.
    mixed = torch.lerp(x, y, weight)
    return mixed if mode.is_finite(mixed) else numerics.mix(xp, x, y, weight)


def hinge(xp: Any, x: Array) -> Array:
    return torch.relu(x) if mode.is_finite(x) else numerics.hinge(xp, x)


def finite_part(xp: Any, x: Array) -> Array:
    return x if mode.is_finite(x) else numerics.finite_part(xp, x)


def above_zero(xp: Any, x: Array) -> Array:
    if x.requires_grad or not mode.is_finite(x):
        return numerics.above_zero(xp, x)
    return torch.heaviside(x, torch.zeros((), dtype=x.dtype, device=x.device))


BETTER = {f.__name__: f for f in (nan_below, log_cosh, zero_times, signed_margin, mix, hinge, finite_part, above_zero)}
"""What takes the place of the defaults of `numerics`."""
