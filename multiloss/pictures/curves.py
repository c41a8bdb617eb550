"""The curve of a loss over one number: sampled with NumPy, drawn with matplotlib or in text."""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multiloss import catalogue, center
from multiloss.engine.checks import BINARY, LABEL_SETS, LOG_PROBABILITY, MEMBERSHIP, PROBABILITY, SIGN
from multiloss.engine.definition import Definition
from multiloss.engine.loss import make, make_spec

FORMATS = ("png", "pdf", "svg")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLES = ("-", "--", "-.", (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5, 1, 1.5)))


@dataclass(frozen=True)
class Curve:
    """A loss over the number `x` that its prediction is made of, and the slope of that curve."""

    label: str
    axis_label: str
    x: np.ndarray
    value: np.ndarray
    slope: np.ndarray


find = catalogue.definition


def label_of(definition: Definition, options: Mapping[str, Any] | None) -> str:
    """The name of a loss and what was given for its options."""
    return definition.name + "".join(f", {key}={value}" for key, value in (options or {}).items())


def no_curve(definition: Definition) -> str:
    """Why a loss has no curve over one number; nothing where it has one."""
    if definition.table is not None and (definition.table.compares or definition.table.one_row):
        return "compares features with centers"
    if definition.kind == "of_inputs" and definition.name not in _PATHS:
        return f"takes ({', '.join(definition.inputs)})"
    return ""


def curve(name: str, options: Mapping[str, Any] | None = None, points: int = 1201) -> Curve:
    """Sample a loss over the predictions that it is made for.

    Real predictions run around a target of 0 (2 for logarithms, 100 for percentages); probabilities and logits are
    those of the true class, against one other class. Of several inputs one changes, and the label of the axis says what
    the others are.
    """
    options, definition = dict(options or {}), catalogue.definition(name)
    label = label_of(definition, options)
    if why := no_curve(definition):
        raise ValueError(f"{definition.name} {why}, and has no curve over one number")
    if definition.table is not None:
        if set(options) - {"per_feature"}:
            raise ValueError(f"only the option per_feature changes the curve of {definition.name}")
        spec = center.read_options({"loss": definition.name, **options, "reduction": "none"}).spec
    else:
        spec = make_spec(name, {**options, "reduction": "none", "validate": False})
    if definition.name in _PATHS:
        return _along(spec, label, _PATHS[definition.name], points)
    x, y_true, y_pred, axis_label = _inputs(definition, dict(spec.own), points)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a root over one element is the absolute error, which is drawn here
        value, gradient = _over_probabilities(make(spec, "numpy"), y_true, y_pred)
    slope = gradient[:, 0]
    if gradient.ndim == 2 and gradient.shape[1] == 2 and axis_label.startswith("probability"):
        slope = slope - gradient[:, 1]  # the other probability falls as this one rises
    return Curve(label, axis_label, x, np.asarray(value), np.asarray(slope))


def _over_probabilities(loss: Any, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient by the predictions, probabilities also where a divergence is told that they are logarithms."""
    options = loss.spec.kwargs if loss.spec.definition.family == "divergence" else {}
    if options.get("log_target"):
        y_true = np.log(y_true)
    if not options.get("log_input"):
        return loss.value_and_grad(y_true, y_pred)
    value, gradient = loss.value_and_grad(y_true, np.log(y_pred))
    return value, gradient / y_pred


@dataclass(frozen=True)
class _Path:
    """A path through the inputs of a loss: all inputs as functions of a number x between `ends`, and the derivative
    by x of `moving`, the only input that changes."""

    axis_label: str
    ends: tuple[float, float]
    inputs: Callable[[np.ndarray], Mapping[str, np.ndarray]]
    moving: str
    direction: Callable[[np.ndarray], np.ndarray] = np.ones_like
    alone: bool = False
    """Whether the samples of a batch have one value together, so that each number is a batch of its own."""


def _along(spec: Any, label: str, path: _Path, points: int) -> Curve:
    loss, points = make(spec, "numpy"), min(points, 241) if path.alone else points
    x = np.linspace(*path.ends, points)
    batches = [path.inputs(one) for one in x] if path.alone else [path.inputs(x)]
    value = np.concatenate([np.atleast_1d(loss(**inputs)) for inputs in batches])
    try:
        gradients = [loss.value_and_grad(**inputs, wrt=path.moving)[1] for inputs in batches]
    except NotImplementedError:  # without the autograd package: differences of the curve look the same
        return Curve(label, path.axis_label, x, value, np.gradient(value, x))
    gradient = np.concatenate([one.reshape(points // len(batches), -1) for one in gradients])
    return Curve(label, path.axis_label, x, value, (gradient * path.direction(x).reshape(points, -1)).sum(axis=1))


def _at_angle(x: np.ndarray) -> np.ndarray:
    """The vectors of length 1 at these angles to (1, 0, 0)."""
    return np.stack([np.cos(x), np.sin(x), 0 * x], -1)


def _ctc_inputs(x: np.ndarray) -> Mapping[str, np.ndarray]:
    """One letter to find in three frames: its logit is x in each, that of the blank and of another letter 0."""
    logits = np.zeros((len(x), 3, 3))
    logits[..., 1] = x[:, None]
    return {"y_true": np.ones((len(x), 1), np.int64), "y_pred": logits}


def _lovasz_inputs(x: np.ndarray) -> Mapping[str, np.ndarray]:
    """Four pixels, two of each class: the first is given its class by the probability x, the others by 0.8."""
    right, labels = np.array([float(x), 0.8, 0.8, 0.8]), np.array([0, 0, 1, 1])
    first = np.where(labels == 0, right, 1 - right)
    return {"y_true": labels[None], "y_pred": np.stack([first, 1 - first], -1)[None]}


def _turning(x: np.ndarray) -> np.ndarray:
    """Their derivative by the angle."""
    return _at_angle(x + np.pi / 2)


_PATHS = {
    "gaussian_nll": _Path(
        "y_pred - y_true, where var = 1", (-5, 5), lambda x: {"y_true": 0 * x, "y_pred": x, "var": 0 * x + 1}, "y_pred"
    ),
    "margin_ranking": _Path(
        "x1 - x2, where y_true = 1", (-5, 5), lambda x: {"y_true": 0 * x + 1, "x1": x, "x2": 0 * x}, "x1"
    ),
    "crps": _Path(
        "x - y_true, of the ensemble (x - 1, x, x + 1)",
        (-5, 5),
        lambda x: {"y_true": 0 * x, "y_pred": np.stack([x - 1, x, x + 1], -1)},
        "y_pred",
    ),
    "ctc": _Path(
        "logit of the letter in each of 3 frames; of the others: 0",
        (-5, 5),
        _ctc_inputs,
        "y_pred",
        lambda x: np.broadcast_to([0.0, 1.0, 0.0], (len(x), 3, 3)),
    ),
    "lovasz_softmax": _Path(
        "probability of the right class, of one pixel of four",
        (0.01, 0.99),
        _lovasz_inputs,
        "y_pred",
        lambda x: np.broadcast_to(np.repeat([1.0, -1.0, 0.0], [1, 1, 6]), (len(x), 8)),
        alone=True,
    ),
    "contrastive": _Path(
        "distance of x1 and x2, where y_true = 0 (not similar)",
        (0.01, 3),  # at 0 there is no slope
        lambda x: {"y_true": 0 * x, "x1": 0 * x[:, None], "x2": x[:, None]},
        "x2",
    ),
    "triplet_margin": _Path(
        "distance of the negative, where that of the positive is 1",
        (0, 4),
        lambda x: {"anchor": 0 * x[:, None], "positive": 0 * x[:, None] + 1, "negative": x[:, None]},
        "negative",
    ),
    "cosine_embedding": _Path(
        "angle of x1 and x2, where y_true = 1 (radians)",
        (0, np.pi),
        lambda x: {"y_true": 0 * x + 1, "x1": _at_angle(0 * x), "x2": _at_angle(x)},
        "x2",
        _turning,
    ),
    **dict.fromkeys(
        ("arcface", "cosface", "sphereface", "proxy_nca"),
        _Path(
            "angle of features to their class; to the other: ½π",
            (0, np.pi),
            lambda x: {"labels": np.zeros(len(x), np.int64), "features": _at_angle(x), "weight": np.eye(3)[::2]},
            "features",
            _turning,
        ),
    ),
}
"""How to draw losses of several inputs that depend on one of them, on an angle or on a distance."""


def _inputs(
    definition: Definition, options: Mapping[str, Any], points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """The numbers along the axis, the targets, the predictions, and the label of the axis."""
    if definition.family == "divergence":  # logarithms are taken of these probabilities, see `_over_probabilities`
        options = {**options, "log_input": False, "log_target": False}
    domain = definition.domain(options)
    true, pred = domain.get("y_true"), domain.get("y_pred")
    labels, pair = definition.has_labels, definition.kind != "elementwise"
    # For a true class against one other: whether the loss is of this kind, the ends of the axis, the label of the axis.
    of_classes: tuple[tuple[Any, tuple[float, float], str], ...] = (
        (options.get("from_logits") or definition.name == "multilabel_soft_margin", (-6, 6), "logit of the true class"),
        (definition.family == "ranking", (-6, 6), "score of the relevant one of two items, less the other's"),
        (
            (true is PROBABILITY and not labels) or pred in (PROBABILITY, MEMBERSHIP),
            (0.01, 0.99),
            "probability of the true class",
        ),
        (pred is LOG_PROBABILITY, (-5, 0), "log-probability of the true class"),
        (labels or (pair and true in (BINARY, LABEL_SETS)), (-5, 5), "score of the true class"),
    )
    for holds, ends, axis_label in of_classes:
        if holds:
            x = np.linspace(*ends, points)
            other = 1 - x if axis_label.startswith("probability") else 0 * x
            y_pred = np.stack([x, other], -1) if pair else x[:, None]
            return x, *_true_class(definition, true, y_pred, axis_label)
    if definition.family == "similarity":
        x = np.linspace(-5, 5, points)
        label = "x, where y_true = (1, 0) and y_pred = (x, 1)"
        return x, np.tile([1.0, 0.0], (points, 1)), np.stack([x, 0 * x + 1], -1), label
    low = -np.inf if pred is None else pred.low
    # For a number against a target: whether the loss is of this kind, its target, the ends of the axis.
    targets: tuple[tuple[Any, float, tuple[float, float]], ...] = (
        (true in (SIGN, BINARY), 1.0, (-5, 5)),
        (definition.name.endswith("mean_absolute_percentage_error"), 100.0, (0, 200)),
        (true is not None and true.values, 1.0, (-3, 3)),
        (np.isfinite(low), 2.0, (low + 0.1, 6)),
        (true is not None, 2.0, (-3, 3)),
        (True, 0.0, (-5, 5)),
    )
    target, ends = next((target, ends) for holds, target, ends in targets if holds)
    x = np.linspace(*ends, points)
    zero = "y_pred - y_true" if definition.table is None else "feature - its center"
    label = f"y_pred, where y_true = {target:g}" if target else zero
    return x, np.full((points, 1), target), x[:, None], label


def _true_class(
    definition: Definition, domain: Any, y_pred: np.ndarray, axis_label: str
) -> tuple[np.ndarray, np.ndarray, str]:
    """Targets that say that the first class is true; the predictions; how the axis is called."""
    if definition.has_labels:
        return np.zeros(len(y_pred), np.int64), y_pred, axis_label
    if definition.family == "divergence":
        label = "probability of the first of two outcomes, where y_true = (½, ½)"
        return np.full_like(y_pred, 0.5), y_pred, label
    y_true = np.zeros_like(y_pred)
    y_true[:, 0] = 1.0
    # Of sets of labels: class 0, and the end.
    return y_true.astype(np.int64) - 1 if domain is LABEL_SETS else y_true, y_pred, axis_label


def rows_of(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """Curves over the same number, which share a row."""
    rows: dict[str, list[Curve]] = {}
    for one in curves:
        rows.setdefault(one.axis_label, []).append(one)
    return rows


def picture(curves: Sequence[Curve], file_format: str = "png") -> bytes:
    """Values on the left, slopes on the right; curves over the same number share a row."""
    rows = rows_of(curves)
    drawn = figure(figsize=(10.5, 4.4 * len(rows)))
    for group, strip in zip(rows.values(), drawn.subfigures(len(rows), 1, squeeze=False)[:, 0], strict=True):
        draw(strip, group)
    return rendered(drawn, file_format, 150)


def draw(strip: Any, group: Sequence[Curve]) -> None:
    """Curves over the same number, in one row of a figure."""
    left, right = strip.subplots(1, 2)
    for i, one in enumerate(group):
        # Later curves are thinner and dashed, so that curves that coincide all show.
        look: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)]}
        look["linewidth"] = max(3.2 - 0.5 * i, 1.4)
        left.plot(one.x, one.value, label=one.label, **look)
        right.plot(one.x, _broken_at_jumps(one.slope), **look)
    for axis, what, shown in (
        (left, "loss", [one.value for one in group]),
        (right, "gradient", [one.slope for one in group]),
    ):
        axis.grid(color="0.92", linewidth=0.8)
        axis.axhline(0, color="0.6", linewidth=0.8, zorder=1)
        axis.set(axisbelow=True, xlabel=group[0].axis_label, ylabel=what, ylim=_limits(shown))
        axis.spines[["top", "right"]].set_visible(False)
    longest = max(len(one.label) for one in group)
    strip.legend(loc="outside upper center", ncols=max(1, min(len(group), 100 // (longest + 6))), frameon=False)


def rendered(drawn: Any, file_format: str, dpi: int) -> bytes:
    """A figure as the content of a file."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format=file_format, dpi=dpi, metadata={"Date": None} if file_format == "svg" else {})
    return buffer.getvalue()


def figure(figsize: tuple[float, float]) -> Any:
    """An empty figure, made without matplotlib's global state; ImportError that names the extra if that is missing."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ImportError(
            "drawing needs matplotlib, which is not installed: pip install 'multiloss[demo]'", name="matplotlib"
        ) from error
    return Figure(figsize=figsize, layout="constrained")


def _limits(values: Sequence[np.ndarray], margin: float = 0.05) -> tuple[float, float]:
    """The lowest and the highest value to show; a pole is cut off, because it would flatten the rest of the curve."""
    everything = np.concatenate([one[np.isfinite(one)] for one in values])
    inner_low, inner_high = np.quantile(everything, [0.05, 0.95])
    reach = 1.2 * max(inner_high - inner_low, 1e-12)
    low = max(float(everything.min()), inner_low - reach)
    high = min(float(everything.max()), inner_high + reach)
    margin *= high - low or 1.0
    return low - margin, high + margin


def _broken_at_jumps(values: np.ndarray) -> np.ndarray:
    """The slopes with nan where they jump, as at the kink of an absolute value, so that no line is drawn across."""
    steps = np.abs(np.diff(values))
    # A jump is one step, or two where a sample lies in the kink; near a pole the steps beside are large too.
    around = np.pad(steps, 2, mode="edge")
    beside = np.maximum(around[:-4], around[4:])
    jumps = np.flatnonzero((steps > 20 * beside) & (steps > 0.01 * np.ptp(values)))
    broken = np.array(values, np.float64)
    broken[jumps] = np.nan
    return broken


def text(one: Curve, width: int = 36, height: int = 8) -> list[str]:
    """Value and slope, drawn in braille dots side by side."""
    sides = [_panel(one.x, values, width, height) for values in (one.value, one.slope)]
    title = f"  {'loss':<{width + 9}}  gradient"
    lines = [f"  {left:<{width + 9}}  {right}".rstrip() for left, right in zip(*sides, strict=True)]
    return [title, *lines, f"  over {one.axis_label}"]


def _panel(x: np.ndarray, values: np.ndarray, width: int, height: int) -> list[str]:
    low, high = _limits([values], margin=0.0)
    columns = np.round((x - x[0]) / (x[-1] - x[0]) * (2 * width - 1)).astype(int)
    with np.errstate(invalid="ignore"):
        rows = np.round((high - values) / ((high - low) or 1.0) * (4 * height - 1))
    seen = np.isfinite(rows) & (rows >= 0) & (rows < 4 * height)
    cells = np.zeros((height, width), np.int64)
    bits = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    for column, row in zip(columns[seen], rows[seen].astype(int), strict=True):
        cells[row // 4, column // 2] |= bits[row % 4, column % 2]
    scale = {0: f"{high:8.3g} ", height - 1: f"{low:8.3g} "}
    lines = [scale.get(i, " " * 9) + "".join(chr(0x2800 + int(cell)) for cell in row) for i, row in enumerate(cells)]
    return [*lines, " " * 9 + f"{x[0]:<{width - 8}.3g}{x[-1]:>8.3g}"]


def write(path: Path, content: bytes) -> None:
    """Write a whole file or none: under another name first, then renamed."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes files that only their owner reads
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
