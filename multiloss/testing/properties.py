"""`properties`: whether a loss is convex, bounded, symmetric and smooth, found by a search with random points.

A search finds counterexamples and proves nothing. So what it says is how many points it tried.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from multiloss import center
from multiloss.engine import checks, registry
from multiloss.engine.loss import make, make_spec
from multiloss.testing.strategies import draw_inputs

Inputs = dict[str, np.ndarray]
Within = Mapping[str, tuple[float, float]]
_MAGNITUDES = (1.0, 1e2, 1e4, 1e6, 1e8)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a search found."""

    holds: bool | None
    """None where the question makes no sense for the loss."""
    words: str
    """What was tried, and what was found."""

    def __str__(self) -> str:
        answer = {True: "yes", False: "no", None: "-"}[self.holds]
        return f"{answer}: {self.words}"


@dataclasses.dataclass(frozen=True)
class Properties:
    """What a search found about one loss with its options."""

    by: str
    """The input that is moved: `y_pred`, or the second of a loss of other inputs."""
    convex: Finding
    """Whether each sample's value is a convex function of that input."""
    bounded: Finding
    """Whether the values stay between two numbers, however large the input grows."""
    symmetric: Finding
    """Whether the value stays when both arguments are swapped."""
    differentiable: Finding
    """Whether the value has a slope everywhere; if not, where it has none."""
    zero_at_target: Finding
    """Whether the value is 0 where prediction and target are equal."""

    def __str__(self) -> str:
        rows = dataclasses.fields(self)[1:]
        return "\n".join(f"{row.name.replace('_', ' ')}: {getattr(self, row.name)}" for row in rows)


def properties(
    name: str, *, pairs: int = 1000, seed: int = 0, within: Within | None = None, **options: Any
) -> Properties:
    """Search for what a loss is not: convex, bounded, symmetric, differentiable, 0 at its target.

    The loss is computed by NumPy in float64. Targets and predictions are drawn from the domains that the loss
    declares; where samples are compared with each other, the value is the sum over a batch of five.

    Args:
        name: of a loss.
        pairs: how many pairs of points are tried; a tenth of that where each takes a call of its own.
        seed: of the points. The same seed gives the same answer.
        within: input name -> its smallest and largest number, where the loss declares no domain but is meant for one.
        options: of the loss.

    Returns:
        The answers, each with what was tried. "yes" says that no counterexample was found; "no" that there is one.

    Example:
        >>> from multiloss.testing import properties
        >>> found = properties("mean_squared_error")
        >>> print(found.convex)
        yes: no counterexample among 1,000 pairs of points
        >>> found.bounded.holds, found.symmetric.holds, found.zero_at_target.holds
        (False, True, True)
        >>> print(properties("root_mean_squared_error").differentiable)
        no: kinks where y_pred equals y_true
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        search = _Search(name, pairs, seed, within or {}, options)
        return Properties(
            by=search.moving,
            convex=_convex(search),
            bounded=_bounded(search),
            symmetric=_symmetric(search),
            differentiable=_differentiable(search),
            zero_at_target=_zero_at_target(search),
        )


class _Search:
    """A loss as a function of its second input, and the points at which it is tried."""

    def __init__(self, name: str, pairs: int, seed: int, within: Within, options: dict[str, Any]) -> None:
        self.rng = np.random.default_rng(seed)
        table = registry.CENTER.get(name.strip().lower())
        self.of_centers = table is not None
        if table is not None:
            self._of_centers(table, options)
        else:
            self._of_inputs(name, options)
        self.within = within
        self.domains |= {name: checks.Domain(*ends, "within") for name, ends in within.items()}
        self.count = pairs if self.at_once else max(pairs // 10, 1)

    def _of_inputs(self, name: str, options: dict[str, Any]) -> None:
        self.spec = make_spec(name, {**options, "reduction": "none", "validate": False})
        self.definition = self.spec.definition
        self.pair = self.definition.kind != "of_inputs"
        self.moving = self.definition.inputs[1]
        shapes = self.definition.shapes.values()
        compared = any("N" in s.letters for s in shapes) and not any("C" in s.letters for s in shapes)
        # Where a sample's value depends on that sample alone, thousands are one call.
        self.at_once = not (compared or self.definition.whole_batch or self.definition.example)
        self.loss = make(self.spec, "numpy")
        domains = self.definition.domain(self.spec.kwargs)
        self.domains = {name: domains.get(name) for name in self.definition.inputs}

    def _of_centers(self, table: str, options: dict[str, Any]) -> None:
        self.definition, self.moving, self.pair = registry.TABLES[table], "features", False
        about: Any = self.definition.table
        sizes = {} if about.one_row else {"num_classes": 3, "feature_dim": 3}
        self.loss = center.make("numpy", {"loss": table, **sizes, **options, "reduction": "none"})
        shape = (1, 1) if about.one_row else (3, 3)
        self.state = {"centers": np.ones(shape) if about.one_row else self.rng.normal(size=shape)}
        self.at_once, self.domains = not about.of_batch, {"features": None}

    def draw(self, count: int) -> Inputs:
        """Inputs for so many samples; of a loss that compares samples, one batch."""
        n = count if self.at_once else 5
        if self.of_centers:
            return {"labels": self.rng.integers(0, 3, n), "features": self.rng.normal(size=(n, 3))}
        leading = (n, 3) if self.pair else (n,)
        found = draw_inputs(self.spec, self.rng, leading, n)
        for name, (low, high) in self.within.items():
            found[name] = self.rng.uniform(max(low, -3.0), min(high, 3.0), found[name].shape)
        return {k: x if x.dtype.kind == "i" else x.astype(np.float64) for k, x in found.items()}

    def spread(self, x: np.ndarray, by: Any) -> np.ndarray:
        """Points further out in the domain, by this factor."""
        domain = self.domains[self.moving]
        if domain in (checks.PROBABILITY, checks.MEMBERSHIP):
            x = x**by
            whole = self.definition.kind == "elementwise" or domain is checks.MEMBERSHIP
            return x if whole else x / np.maximum(x.sum(-1, keepdims=True), 1e-300)
        low = domain.low if domain is not None and np.isfinite(domain.low) else 0.0
        return (x - low) * by + low

    def factors(self, x: np.ndarray, low: float, high: float) -> np.ndarray:
        """A factor for each sample, 10 to a random power."""
        shape = (len(x),) + (1,) * (x.ndim - 1) if self.at_once else (1,) * x.ndim
        return 10 ** self.rng.uniform(low, high, shape)

    def values(self, inputs: Inputs) -> np.ndarray:
        """One value for each sample, or one for the batch."""
        if self.of_centers:
            found = np.asarray(self.loss.step(self.state, *inputs.values(), training=False)[0])
        else:
            found = np.asarray(self.loss(**inputs))
        return found if self.at_once else found.sum()[None]

    def each(self, ask: Callable[[], tuple[np.ndarray, ...]], most: int | None = None) -> tuple[np.ndarray, ...]:
        """The answers of all tries: of one call, or of a call for each (of `most` at most)."""
        answers = [ask() for _ in range(1 if self.at_once else min(self.count, most or self.count))]
        return tuple(np.concatenate(one) for one in zip(*answers, strict=True))

    @property
    def swaps(self) -> bool:
        """Whether both arguments are of the same kind, so that they can be swapped."""
        if self.of_centers:
            return False
        names = ("x1", "x2") if not self.pair else ("y_true", "y_pred")
        if not all(name in self.domains for name in names):
            return False
        if self.definition.has_labels or self.definition.integer_targets:
            return False
        # Their parts in the formula are not the same where targets and predictions are other things.
        return self.domains[names[0]] is self.domains[names[1]] and (not self.pair or not self._logits_or_scores())

    def _logits_or_scores(self) -> bool:
        return self.definition.family in ("ranking", "multilabel") or bool(self.spec.kwargs.get("from_logits"))

    @property
    def swapped(self) -> tuple[str, str]:
        """The two arguments."""
        return ("y_true", "y_pred") if self.pair else ("x1", "x2")


def _convex(search: _Search) -> Finding:
    def ask() -> tuple[np.ndarray, ...]:
        inputs, others = search.draw(search.count), search.draw(search.count)
        a, b = (search.spread(x[search.moving], search.factors(x[search.moving], -1, 1)) for x in (inputs, others))
        share = search.factors(a, -2, -0.01)
        between = share * a + (1 - share) * b
        va, vb, vm = (search.values(inputs | {search.moving: x}) for x in (a, b, between))
        share = share.reshape(-1)
        chord = share * va + (1 - share) * vb
        finite = np.isfinite(va) & np.isfinite(vb) & np.isfinite(vm)
        return finite, finite & (vm > chord + 1e-9 * (1 + np.abs(va) + np.abs(vb)))

    finite, above = search.each(ask)
    tried, found = int(finite.sum()), int(above.sum())
    if not found:
        return Finding(True, f"no counterexample among {tried:,} pairs of points")
    return Finding(
        False, f"between two points the value is above the chord, for {found:,} of {tried:,} pairs of points"
    )


def _bounded(search: _Search) -> Finding:
    def ask() -> tuple[np.ndarray, ...]:
        inputs = search.draw(search.count)
        x = inputs[search.moving]
        if search.swaps and search.pair:
            x[: len(x) // 2] = inputs["y_true"][: len(x) // 2]  # exact fits, too
        ways = [(by, 1 / by) for by in _MAGNITUDES]
        return tuple(
            np.concatenate([search.values(inputs | {search.moving: search.spread(x, by)}) for by in way])
            for way in ways
        )

    reached = search.each(ask, 20)  # ten calls each, where a try is a call
    highest = [np.max(one[~np.isnan(one)], initial=-np.inf) for one in reached]
    lowest = [np.min(one[~np.isnan(one)], initial=np.inf) for one in reached]
    above, below = _stays(highest), _stays([-one for one in lowest])
    least, most = min(lowest), max(highest)
    if above and below:
        return Finding(True, f"values from {_short(least)} to {_short(most)} found, however far the predictions go")
    if below:
        return Finding(False, f"no value below {_short(least)} found, but ever larger ones: {_short(most)}")
    if above:
        return Finding(False, f"no value above {_short(most)} found, but ever smaller ones: {_short(least)}")
    return Finding(False, f"ever smaller and ever larger values found: {_short(least)} and {_short(most)}")


def _stays(reached: list[float]) -> bool:
    """Whether the largest value ceases to grow where the points go further out, step by step a hundredfold: it does
    if it grows less and less. That of a logarithm grows by the same amount with each step."""
    grown = np.diff(np.maximum.accumulate(reached))
    return bool(np.isfinite(reached).all()) and grown[-1] <= 0.5 * max(grown[:2].max(), 1e-9)


def _short(x: float) -> str:
    return "0" if abs(x) < 1e-9 else f"{x:.3g}"


def _symmetric(search: _Search) -> Finding:
    if not search.swaps:
        return Finding(None, "the arguments are of different kinds")
    a, b = search.swapped

    def ask() -> tuple[np.ndarray, ...]:
        inputs = search.draw(search.count)
        one, other = search.values(inputs), search.values(inputs | {a: inputs[b], b: inputs[a]})
        return np.isfinite(one) & np.isfinite(other), np.abs(one - other) > 1e-9 * (1 + np.abs(one))

    finite, differs = search.each(ask)
    tried, found = int(finite.sum()), int((finite & differs).sum())
    if not found:
        return Finding(True, f"swapping {a} and {b} changed none of {tried:,} values")
    return Finding(False, f"swapping {a} and {b} changed {found:,} of {tried:,} values")


def _zero_at_target(search: _Search) -> Finding:
    if not (search.swaps and search.pair):
        return Finding(None, "predictions and targets are of different kinds")

    def ask() -> tuple[np.ndarray, ...]:
        inputs = search.draw(search.count)
        return (search.values(inputs | {"y_pred": inputs["y_true"]}),)

    (values,) = search.each(ask)
    least, most = float(values.min()), float(values.max())
    if max(abs(least), abs(most)) < 1e-9:
        return Finding(True, f"0 where y_pred equals y_true, for each of {len(values):,} targets")
    found = _short(least) if _short(least) == _short(most) else f"from {_short(least)} to {_short(most)}"
    return Finding(False, f"{found} where y_pred equals y_true")


_POINTS, _LINES = 41, 24
"""Of a line, and how many lines."""


def _differentiable(search: _Search) -> Finding:
    places: dict[tuple[str, str], None] = {}
    lines = _LINES if search.at_once else _LINES // 6
    for i in range(lines):
        inputs, other = search.draw(1), search.draw(1)
        x = inputs[search.moving]
        direction = other[search.moving] - x
        if found := _kink(search, inputs, x, direction, np.linspace(0.05, 0.95, _POINTS)):
            at, kind, value, error = found
            near = 2 * error * float(np.abs(direction).max())
            places[kind, _place(search, inputs, x + at * direction, value, near)] = None
        for where, middle in _special(search, inputs).items() if i < lines // 3 else ():
            found = _kink(search, inputs, middle, direction, np.linspace(-1e-2, 1e-2, _POINTS))
            if found and abs(found[0]) < 1e-6:
                places[found[1], where] = None
    if not places:
        return Finding(True, f"no kink found on {lines} lines")
    told = []
    for kind in ("kinks", "jumps"):
        named = sorted((place for of, place in places if of == kind), key=lambda place: place == _ELSEWHERE)
        told += [f"{kind} {', and '.join(named)}"] if named else []
    return Finding(False, "; ".join(told))


_ELSEWHERE = "at other points"


def _special(search: _Search, inputs: Inputs) -> dict[str, np.ndarray]:
    """Points at which losses often have no slope."""
    found = {}
    if search.pair and search.swaps:
        found["where y_pred equals y_true"] = inputs["y_true"]
    if search.domains[search.moving] is None:
        found[f"where {search.moving} is the zero vector"] = np.zeros_like(inputs[search.moving])
    return found


def _kink(
    search: _Search, inputs: Inputs, start: np.ndarray, direction: np.ndarray, steps: np.ndarray
) -> tuple[float, str, float, float] | None:
    """Where on the line the slope or the value jumps, which of both, the value there, and how exact the place is; None
    if the line is smooth.

    The largest second difference is looked at ever closer: over the step it falls with the step where a function is
    smooth, stays where the slope jumps, and grows where the value does.
    """
    sizes, scale = [], 0.0
    for level in range(4):
        values = _on_line(search, inputs, start, direction, steps)
        if not np.isfinite(values).all():
            return None
        h = steps[1] - steps[0]
        second = np.abs(np.diff(values, 2)) / h
        if level == 0:
            scale = float(np.abs(np.diff(values)).max() / h)
        at = int(second.argmax()) + 1
        middle, value = steps[at], float(np.abs(values[at - 1 : at + 2]).min())
        sizes.append(float(second.max()))
        steps = np.linspace(middle - 1.5 * h, middle + 1.5 * h, _POINTS)
    if sizes[-1] < 1e-3 * scale + 1e-9 or sizes[-1] < 0.3 * sizes[-2]:
        return None
    return float(middle), "jumps" if sizes[-1] > 5 * sizes[-2] else "kinks", value, float(h)


def _on_line(
    search: _Search, inputs: Inputs, start: np.ndarray, direction: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    if not search.at_once:
        return np.concatenate([search.values(inputs | {search.moving: start + s * direction}) for s in steps])
    points = start + steps.reshape((-1,) + (1,) * (start.ndim - 1)) * direction
    shapes = {} if search.of_centers or search.pair else search.definition.shapes
    shared = [name for name, shape in shapes.items() if not (shape.leading or "N" in shape.letters)]
    repeated = {
        name: x if name in shared else np.repeat(x, len(steps), axis=0)
        for name, x in inputs.items()
        if name != search.moving
    }
    return search.values({name: points if name == search.moving else repeated[name] for name in inputs})


def _place(search: _Search, inputs: Inputs, x: np.ndarray, value: float, near: float) -> str:
    """What is special about a point with a kink, in words; `near` is how exactly the point is known."""
    name = search.moving
    target = inputs.get("y_true") if search.pair and not search.definition.integer_targets else None
    signs = search.domains.get("y_true") is checks.SIGN
    looks = (
        (target is not None and signs and np.abs(target * x - 1).min() < near, f"where y_true times {name} is 1"),
        (target is not None and np.abs(x - target).min() < near, f"where an element of {name} equals its target"),
        (search.pair and np.abs(x).min() < near, f"where an element of {name} is 0"),
        (value < near and search.at_once, "where the value becomes 0"),
        (search.pair and _any_apart(x, near, 0.0), f"where two elements of {name} are equal"),
        (search.pair and _any_apart(x, near, 1.0), f"where two elements of {name} differ by 1"),
    )
    return next((words for holds, words in looks if holds), _ELSEWHERE)


def _any_apart(x: np.ndarray, near: float, apart: float) -> bool:
    """Whether two elements of a row are so far apart."""
    gaps = np.abs(np.abs(x[..., :, None] - x[..., None, :]) - apart)
    return bool((gaps + np.eye(x.shape[-1])).min() < near)
