"""Losses as custom objectives of gradient boosters: gradient and diagonal second derivative, from the definitions."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from multiloss.engine import dispatch, loss, objects, options, registry
from multiloss.engine.definition import Definition
from multiloss.engine.page import shown

Array = np.ndarray[Any, Any]
LIBRARIES = ("lightgbm", "xgboost", "catboost")
_TWEEDIE = {"lightgbm": "'tweedie'", "xgboost": "'reg:tweedie'", "catboost": "'Tweedie:variance_power=1.5'"}
_INSTEAD = {
    "poisson": "poisson_nll takes the logarithm of the rate, which may be any number",
    "tweedie": "no loss here takes the logarithm of the mean, but {library}'s own objective {tweedie} does",
    "mean_squared_logarithmic_error": "it is mean_squared_error of log1p(y_true), and expm1 of that score predicts",
    "nll": "sparse_categorical_crossentropy with from_logits=True is this loss of log_softmax(score)",
    "hinge_embedding": "hinge is the loss of scores, with 1 for what the score shall be high for",
    "mean_absolute_percentage_error": "it is mean_absolute_error with sample weights of 100 / abs(y_true): pass that "
    "loss, hessian='constant' and weights of 1 / abs(y_true)",
    "symmetric_mean_absolute_percentage_error": "of positive targets mean_absolute_error of log(y_true), with "
    "hessian='constant', is nearest, and exp of that score predicts",
}
"""What to boost instead of a loss that takes no scores, or with which boosting diverges."""
_NO_SCORES = {
    "hinge_embedding": "a booster's score is any number, but hinge_embedding is of distances of 0 or above",
    "mean_absolute_percentage_error": "the slope of mean_absolute_percentage_error has no bound near a target of 0, "
    "and its second derivative is 0: boosting diverges",
    "symmetric_mean_absolute_percentage_error": "the slope of symmetric_mean_absolute_percentage_error has no bound "
    "near a target of 0, and its second derivative is 0 or negative: boosting diverges",
}
_STEEPEST = 4.0
"""The largest curvature that 1 can replace; above it, errors grow at the boosters' usual learning rates."""


_MEANS = {
    "library": "whose booster calls this",
    "hessian": 'what the booster divides the gradient by: "exact", the second derivative; "bound", the curvature of a '
    'parabola that lies above the loss; "constant", 1',
}


class Objective(objects.FixedOptions):
    """Gives the weighted gradient and curvature of each sample's loss by its raw score; made by `objective`.

    Called with `(y_true, y_pred)` or `(y_true, y_pred, sample_weight)`, as the scikit-learn interfaces of LightGBM and
    XGBoost do, or with `(y_pred, data)`, as their own `train` does; `data` is a Dataset or DMatrix. CatBoost calls
    `calc_ders_range`. It can be pickled with the model.
    """

    def __init__(self, spec: loss.Spec, library: str, hessian: str) -> None:
        self.spec = spec
        self.library = library
        self.hessian = hessian
        """"exact", "bound" or "constant"."""
        self._hold_options()

    def _options(self) -> Mapping[str, Any]:
        if "hessian" not in self.__dict__:
            return {}
        return self.spec.kwargs | {"library": self.library, "hessian": self.hessian}

    def _definition(self) -> Definition | None:
        spec = self.__dict__.get("spec")
        return None if spec is None else spec.definition

    def _means(self) -> Mapping[str, str]:
        return _MEANS

    def _another(self) -> str:
        return "multiloss.objective(...) makes another one"

    def _fixed(self) -> Collection[str]:
        return (*self.spec.kwargs, *loss.COMMON, "hessian", "library") if "hessian" in self.__dict__ else ()

    def _instead(self, name: str, value: str) -> str:
        return f"make a new one: multiloss.objective({self.spec.name!r}, ..., {name}={value})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Objective) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def __repr__(self) -> str:
        given = self.spec.kwargs | {"hessian": "auto" if self.hessian == "bound" else self.hessian}
        options = "".join(f", {key}={shown(value)}" for key, value in given.items())
        return f"multiloss.objective({self.spec.name!r}, {self.library!r}{options})"

    def _parts(self) -> tuple[Any, ...]:
        return self.spec, self.library, self.hessian

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[Array, Array]:
        """Gradient and curvature, in the shape of the scores."""
        if hasattr(second, "get_label"):
            first, second, sample_weight = second.get_label(), first, second.get_weight()
        return self._derivatives(np.asarray(first), np.asarray(second), sample_weight)

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[tuple[float, float]]:
        """For CatBoost: the derivatives of minus the loss of each sample, as it maximises."""
        gradient, second = self._derivatives(np.asarray(targets, float), np.asarray(approxes, float), weights)
        return list(zip((-gradient).tolist(), (-second).tolist(), strict=True))

    def _derivatives(self, y_true: Array, y_pred: Array, weight: Any) -> tuple[Array, Array]:
        if self.spec.definition.has_labels:
            # LightGBM's own `train` gives one array, with all scores of the first class, then of the second, and so on.
            y_pred = y_pred.reshape(-1, len(y_true)).T if y_pred.ndim == 1 else y_pred
            y_true = y_true.astype(np.int64)
        y_pred = y_pred.astype(np.float64)
        gradient, second = loss.make(self.spec, "numpy").grad_and_hess(y_true, y_pred)
        if self.hessian == "constant":
            second = np.ones_like(gradient)
        elif self.hessian == "bound":
            second = _bound(self.spec, y_true, y_pred, gradient, second)
        if weight is not None and np.size(weight):
            factor = np.asarray(weight, float).reshape(-1, *([1] * (gradient.ndim - 1)))
            gradient, second = gradient * factor, second * factor
        return gradient, second


def objective(name: str | Definition, library: str, *, hessian: str = "auto", **given: Any) -> Objective:
    """A loss as a gradient booster's custom objective.

    Args:
        name: an elementwise loss, such as "huber" or "bce" (with `from_logits=True`, as the score of a booster is a
            logit); or a loss of integer labels, such as "scce", for multi-class boosting.
        library: "lightgbm", "xgboost" or "catboost" (single scores only).
        hessian: what the booster divides the gradient by. "exact" is the second derivative; it is refused if steps by
            it diverge. "constant" is 1, which losses such as the absolute error need: their second derivative is 0.
            "auto" is the gradient over the error y_pred - y_true for losses of that error alone: the curvature of the
            parabola that touches the loss and lies above it, so that no step goes too far. For `poisson_nll` it is
            the gradient over score - log y_true, or the second derivative if that is larger. It is 1 for losses whose
            second derivative is negative in places, such as focal losses, and else the second derivative.
        given: the loss's own options.

    Returns:
        An `Objective`: pass it as `objective=` to `LGBMRegressor`, `XGBRegressor` and the like, as
        `params={"objective": ...}` to `lightgbm.train`, as `obj=` to `xgboost.train`, as `loss_function=` to CatBoost.

    Raises:
        ValueError: an unknown library or loss; a loss of other inputs, or of scores with a domain (probabilities,
            say); or boosting by this `hessian` diverges. The message says what to pass instead.

    Example:
        >>> import multiloss
        >>> objective = multiloss.objective("huber", library="xgboost")
        >>> gradient, curvature = objective([0.0, 0.0], [0.5, 100.0])
        >>> gradient.tolist(), curvature.tolist()
        ([0.5, 1.0], [1.0, 0.01])
    """
    library = options.one_of(*LIBRARIES)("library", library)
    hessian = options.one_of("auto", "exact", "constant")("hessian", hessian)
    stateful = registry.CENTER.get(name.strip().lower()) if isinstance(name, str) else None
    if stateful is not None:
        raise ValueError(f"an objective is of scores, and {stateful} loss of features and centers")
    spec = loss.make_spec(name, {**given, "reduction": "none"})
    definition = spec.definition
    if definition.kind == "elementwise":
        spec = loss.make_spec(name, {**given, "reduction": "none", "axis": ()})
    elif not definition.has_labels or library == "catboost":
        raise ValueError(
            f"a {library} objective is of single scores and numbers"
            + ("" if library == "catboost" else " or of scores of classes and integer labels")
            + f", which {definition.name} is not"
        )
    _refuse_other_scores(spec, library)
    if definition.grad is None or definition.hess is None:
        raise ValueError(f"{definition.name} has no closed-form second derivative, which an objective needs")
    dispatch.backend("numpy")
    return Objective(spec, library, _curvature(spec, hessian))


def _refuse_other_scores(spec: loss.Spec, library: str) -> None:
    """Refuse losses whose predictions have a domain: the scores of a booster start at 0 and may be any number."""
    definition, kwargs = spec.definition, spec.kwargs
    # With `normalize` a loss declares no domain, but its scores must still be 0 or above.
    domain = definition.domain({**kwargs, "normalize": False}).get("y_pred")
    if domain is None and definition.name not in _NO_SCORES:
        return
    raw = next((option for option in ("from_logits", "log_input") if option in kwargs), None)
    hint = _INSTEAD.get(definition.name, f"pass {raw}=True" if raw else "")
    hint = hint.format(library=library, tweedie=_TWEEDIE[library])
    wanted = "" if domain is None else domain.wanted
    what = _NO_SCORES.get(definition.name, f"a booster's score is any number, but {definition.name} is of {wanted}")
    raise ValueError(what + (f"; {hint}" if hint else ""))


def _curvature(spec: loss.Spec, hessian: str) -> str:
    """The curvature of an objective, "exact", "bound" or "constant"; ValueError if boosting by it diverges.

    This is found from derivatives at some scores around 0, where boosting starts.
    """
    name, residual = spec.definition.name, spec.definition.residual is not None
    y_true, y_pred = _examples(spec)
    one = loss.make(dataclasses.replace(spec, validate=False), "numpy")
    with np.errstate(all="ignore"):
        gradient, second = one.grad_and_hess(y_true, y_pred)
        higher = y_pred + (np.eye(y_pred.shape[1])[y_true] if spec.definition.has_labels else 1.0)
        steepness = np.nanmax(np.abs(one.grad_and_hess(y_true, higher)[0] - gradient))
        at_start = one.grad_and_hess(y_true, np.zeros_like(y_pred))[0]
        at_fit = one.grad_and_hess(y_true, y_true.astype(float))[1] if residual else second
    if not np.any(at_start):
        raise ValueError(
            f"the gradient of {name} is 0 at scores of 0, where boosting starts: it would learn nothing; the hinge "
            f"losses have a margin"
        )
    flat, negative = not np.any(np.nan_to_num(at_fit)), np.nanmin(second) < -1e-9
    if flat and hessian != "constant":
        raise ValueError(
            f"the second derivative of {name} is 0 everywhere, and a booster divides by it; pass hessian='constant'"
        )
    bound = _bound(spec, y_true, y_pred, gradient, second)
    if hessian == "exact" and (negative or not np.array_equal(second, bound)):
        where = "is negative in places" if negative else "is far too small where the error is large"
        raise ValueError(
            f"the second derivative of {name} {where}, so the steps of a booster, which divide by it, diverge; leave "
            f"hessian out"
        )
    best = "bound" if residual else "constant" if negative else "exact"
    chosen = best if hessian == "auto" else hessian
    if chosen == "constant" and steepness > _STEEPEST:
        needless = hessian == "constant" and not (flat or negative)
        weighted = "; give class_weight as sample weights" if spec.kwargs.get("class_weight") else ""
        raise ValueError(
            f"the gradient of {name} with these options changes by up to {steepness:.3g} within one unit of the score, "
            f"so that boosting by a second derivative of 1 diverges{'; leave hessian out' if needless else weighted}"
        )
    return chosen


def _bound(spec: loss.Spec, y_true: Array, y_pred: Array, gradient: Array, second: Array) -> Array:
    """The gradient over the residual, or the second derivative where that is larger (or there is no residual)."""
    if spec.definition.residual is None:
        return second
    with np.errstate(divide="ignore"):  # the residual of a count of 0 is infinite
        residual = spec.definition.residual(np, y_true.astype(float), y_pred)
    return np.maximum(second, np.divide(gradient, residual, out=np.array(second), where=residual != 0))


def _examples(spec: loss.Spec) -> tuple[Array, Array]:
    """Targets, and scores around 0, at which the derivatives of a loss are looked at."""
    if spec.definition.has_labels:
        classes = next((len(value) for value in spec.kwargs.values() if isinstance(value, tuple)), 3)
        scores = np.random.default_rng(0).normal(size=(max(200, classes), classes)) * 3.0
        return np.arange(len(scores)) % classes, scores
    domain = spec.definition.domain(spec.kwargs).get("y_true")
    ends = [-0.75] if domain is None else [end for end in (domain.low, domain.high) if np.isfinite(end)]
    targets = np.array(ends if domain is not None and domain.values else [0.25, 0.75, *ends], float)
    return np.repeat(targets, 41), np.tile(np.linspace(-3.0, 3.0, 41), len(targets))
