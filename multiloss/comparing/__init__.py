"""`multiloss.compare`: two losses, of whatever frameworks, on the same arrays: their numbers, and why they differ.

`wrap` makes a `Side` of what the user gives, and `run` runs it on arrays; `samples` generates these if there are none.
`report` holds the result. If the sides differ, `hypotheses` tells why: each is a test on the `evidence` and a sentence.
The package is not called `compare`, because `multiloss.compare` is the function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from multiloss.comparing import hypotheses, samples, wrap
from multiloss.comparing.evidence import MEASURED, Evidence, close
from multiloss.comparing.report import RTOL, Difference, Outcome, Report, agree, difference
from multiloss.comparing.run import COARSE, Arrays, Side, to_numpy
from multiloss.engine import dispatch

__all__ = ["Difference", "Outcome", "Report", "compare"]


def compare(
    a: Any,
    b: Any,
    y_true: Any = None,
    y_pred: Any = None,
    *,
    sample_weight: Any = None,
    inputs: Mapping[str, Any] | None = None,
    order_a: str | None = None,
    order_b: str | None = None,
    rtol: float | None = None,
    seed: int = 0,
    shape: tuple[int, ...] = samples.SHAPE,
) -> Report:
    """Run two losses on the same arrays, and say by how much and why they differ.

    Both run in float64 if they can, whatever dtype the arrays have. If they differ, they also run on parts of the
    arrays and on changed ones, to find out why.

    Args:
        a: a loss of this library; an object or function of torch, Keras or Optax; any function of arrays of any
            framework; or a written form such as "torch.nn.KLDivLoss(reduction='batchmean')", which runs the library's
            own loss if it is installed, else the port of it.
        b: another.
        y_true: targets, of any framework. Without arrays, some are generated that both sides take.
        y_pred: predictions.
        sample_weight: weights, for the sides that have such an argument.
        inputs: the arrays of losses that take others, by name, such as anchor, positive and negative.
        order_a: "y_pred y_true" if `a` takes them in this order. Losses of torch and Optax do, and functions that name
            their parameters so ("input, target"); every other callable gets (y_true, y_pred).
        order_b: the same for `b`.
        rtol: relative tolerance of "the same"; default: 1e-9 in float64, 1e-5 in float32.
        seed: of generated arrays.
        shape: of generated arrays, (N, C).

    Returns:
        A report with the numbers of both sides, `same`, and `causes` in words; `str()` of it is a table.

    Raises:
        TypeError: `a` or `b` is not callable.
        ValueError: a written form that names no loss; an option out of range.

    Example:
        >>> import multiloss
        >>> report = multiloss.compare(multiloss.get("mse"), multiloss.get("half_squared_error"))
        >>> report.same, report.causes[0]
        (False, 'b = 0.5 a: one has the factor 1/2')
    """
    _check_options(rtol, seed, shape)
    given = dict(inputs or {})
    if (y_true is None) != (y_pred is None):
        missing = "y_pred" if y_pred is None else "y_true"
        raise TypeError(f"compare takes y_true and y_pred, or neither; {missing} is missing")
    frameworks = [dispatch.framework_of(x) for x in (*given.values(), y_true, y_pred)]
    arrays_of = next((framework for framework in frameworks if framework not in (None, "numpy")), None)
    sides = {"a": wrap.make("a", a, order_a, arrays_of), "b": wrap.make("b", b, order_b, arrays_of)}
    names = _names(sides, given)
    if y_true is not None:
        given |= dict(zip(names, (y_true, y_pred), strict=False))
    weight = None if sample_weight is None else _array("sample_weight", sample_weight, floats=True)
    if given:
        generated, arrays = None, {name: _array(name, x, floats=name == names[1]) for name, x in given.items()}
        errors = {name: side.settle(arrays, weight) for name, side in sides.items()}
    else:
        generated, arrays, errors = _generate(sides, seed, tuple(shape))
    outcomes = {name: _outcome(side, arrays, weight, names[1], errors[name]) for name, side in sides.items()}
    return _report(sides, outcomes, arrays, weight, generated, rtol)


def _check_options(rtol: Any, seed: Any, shape: Any) -> None:
    if rtol is not None and not (isinstance(rtol, int | float) and 0 <= rtol < 1):
        raise ValueError(f"rtol must be a number in [0, 1), got {rtol!r}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a whole number of 0 or above, got {seed!r}")
    lengths = isinstance(shape, tuple | list) and all(isinstance(n, int | np.integer) and n >= 1 for n in shape)
    if not lengths or len(shape) < 2:
        raise ValueError(f"shape must be two lengths or more of at least 1, such as (8, 5), got {shape!r}")


def _array(name: str, x: Any, *, floats: bool) -> np.ndarray:
    try:
        array = to_numpy(x)
    except Exception as error:  # of any framework: symbolic, without data, sparse
        raise TypeError(f"{name} must be an array of real numbers: {error}") from None
    return array.astype(np.float64) if floats or array.dtype.kind == "f" else array


def _names(sides: Mapping[str, Side], given: Mapping[str, Any]) -> tuple[str, ...]:
    """What the arrays are called; a user's function takes those of a loss known to have others."""
    known = [side.definition for side in sides.values() if side.definition is not None]
    names = tuple(given)
    if not given:
        names = next((one.inputs for one in known if one.inputs != ("y_true", "y_pred")), ("y_true", "y_pred"))
        needed = {name for side in sides.values() if side.library != "multiloss" for name in side.order}
        left_out = {name for one in known for name in one.optional} - needed
        names = tuple(name for name in names if name not in left_out)
    if len(names) < 2:
        raise ValueError(f"inputs must hold two arrays or more, got {', '.join(names) or 'none'}")
    for side in sides.values():
        if set(side.order) == {"y_true", "y_pred"} != set(names):
            side.order = names if side.order[0] == "y_true" or len(names) != 2 else names[::-1]
        elif set(names) < set(side.order):
            side.order = tuple(name for name in side.order if name in names)
    return names


def _generate(
    sides: Mapping[str, Side], seed: int, shape: tuple[int, ...]
) -> tuple[str, dict[str, np.ndarray], dict[str, str | None]]:
    """Arrays on which both run and give finite values, or else those on which most is so; and the errors of both."""
    definitions = [(side.definition, side.options) for side in sides.values() if side.definition is not None]
    if shape == samples.SHAPE:  # nobody chose the number of classes, but weights of classes may be given
        lengths = {len(x) for _, options in definitions for key, x in options.items() if key != "axis" and _listed(x)}
        shape = (*shape[:-1], *lengths) if len(lengths) == 1 else shape
    tried = []
    # The first suit both, if both are known and labels are encoded for the side that takes none. Otherwise arrays that
    # both take as they are come first.
    for encode in (True,) if len(definitions) == 2 else (False, True):
        for kind, arrays in samples.candidates(definitions, seed, shape):
            errors = {name: side.settle(arrays, None, encode=encode) for name, side in sides.items()}
            finite = [errors[name] is None and np.isfinite(side.mean(arrays)) for name, side in sides.items()]
            if all(finite):
                return f"{kind}, seed {seed}", arrays, errors
            tried.append((sum(finite) + [*errors.values()].count(None), kind, arrays))
    _, kind, arrays = max(tried, key=lambda one: one[0])
    return f"{kind}, seed {seed}", arrays, {name: side.settle(arrays, None) for name, side in sides.items()}


def _listed(option: Any) -> bool:
    return isinstance(option, list | tuple) and len(option) > 0


def _outcome(side: Side, arrays: Arrays, weight: np.ndarray | None, wrt: str, error: str | None) -> Outcome:
    if weight is not None and not side.takes_weight:
        side.notes += ("takes no sample_weight, and was called without",)
    about = (side.text, side.version, side.order)
    value = side.values(arrays, weight)
    if error is not None or value is None:
        return Outcome(*about, notes=side.notes, error=error or "it fails when it is run again")
    gradient, how = side.gradient(arrays, wrt, weight)
    bare = side if value.ndim else side.unreduced()
    per_sample = None if bare is None else bare.values(arrays, weight)
    reduction = "none" if value.ndim else _reduction(side, arrays, weight, float(value), per_sample)
    return Outcome(*about, side.returns, value, per_sample, gradient, how, reduction, side.remarks())


def _reduction(side: Side, arrays: Arrays, weight: np.ndarray | None, value: float, per: np.ndarray | None) -> str:
    """How a single value is made of the values per sample, found from the numbers."""
    if per is not None and per.size and np.isfinite(per).all() and np.isfinite(value):
        total, used = float(per.sum()), int((per != 0).sum())
        weights = 0.0 if weight is None else float(weight.sum())
        known = {
            f"sum / {per.size}, the mean over {per.size} values": total / per.size,
            "sum": total,
            f"sum / {len(np.atleast_1d(per))}, the batch": total / len(np.atleast_1d(per)),
            f"sum / {used}, those that are not 0": total / max(used, 1),
            f"sum / {weights:.6g}, the sum of the weights": total / weights if weights else np.nan,
            f"sum / {total / (value or 1):.6g}": value or np.nan,
        }
    else:
        known = {"a mean (repeating the batch leaves it)": value, "a sum (repeating the batch doubles it)": 2 * value}
        value = Evidence({"a": side}, arrays, None).twice().value("a") if weight is None and value else np.nan
    return next((text for text, wanted in known.items() if close(value, wanted, MEASURED)), "")


def _report(sides: Mapping[str, Side], outcomes: Mapping[str, Outcome], arrays: Arrays, weight: np.ndarray | None,
            generated: str | None, rtol: float | None) -> Report:  # fmt: skip
    a, b = outcomes.values()
    dtype = max((x.dtype for x in (a, b) if x.dtype in RTOL), key=list(RTOL).index, default="float64")
    tolerance = RTOL[dtype] if rtol is None else rtol
    e = Evidence(sides, arrays, weight, dtype, outcomes)
    values = gradients = None
    if a.value is not None and b.value is not None:
        reduced = a.value.shape != b.value.shape
        (value_a, gradient_a), (value_b, gradient_b) = (x.of_means(reduced) for x in (a, b))
        values = difference(value_a, value_b, dtype)
        e.differ |= {"shape"} if reduced else set()
        e.differ |= set() if agree(value_a, value_b, tolerance) else {"values"}
        if gradient_a is not None and gradient_b is not None and gradient_a.shape == gradient_b.shape:
            gradients = difference(gradient_a, gradient_b, dtype)
            ways = a.gradient_by + b.gradient_by
            loose = 1e-3 if COARSE in ways else 1e-7 if "differences" in ways else 0.0
            e.differ |= set() if agree(gradient_a, gradient_b, max(tolerance, loose)) else {"gradients"}
        elif any("does not depend" in x.gradient_by and other is not None and np.any(other)
                 for x, other in ((a, gradient_b), (b, gradient_a))):  # fmt: skip
            e.differ |= {"gradients"}
    same = values is not None and not e.differ
    causes = () if same else tuple(hypotheses.causes(e))
    return Report(a, b, arrays, generated, e.prediction, same, tolerance, values, gradients, causes)
