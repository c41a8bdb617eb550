"""Losses as custom objectives of gradient boosters: gradient and diagonal second derivative, from the definitions."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import numpy as np

from multiloss import dispatch, loss, options, registry

Array = np.ndarray[Any, Any]
LIBRARIES = ("lightgbm", "xgboost", "catboost")


class Objective(loss.FixedOptions):
    """What `objective` gives: gradient and second derivative of each sample's loss by its raw score, weighted.

    Called with `(y_true, y_pred)` or `(y_true, y_pred, weight)`, as the scikit-learn interfaces of LightGBM and XGBoost
    do, or with `(y_pred, data)`, as their own `train` does, `data` being a Dataset or DMatrix. CatBoost calls
    `calc_ders_range`. It can be pickled with the model.
    """

    def __init__(self, spec: loss.Spec, library: str, constant_hessian: bool) -> None:
        self.spec = spec
        self.library = library
        self.constant_hessian = constant_hessian

    def _fixed(self) -> Collection[str]:
        made = "constant_hessian" in self.__dict__
        return (*self.spec.kwargs, *loss.COMMON, "hessian", "library") if made else ()

    def _instead(self, name: str, value: str) -> str:
        return f"make a new one: multiloss.objective({self.spec.name!r}, ..., {name}={value})"

    def __call__(self, first: Any, second: Any, weight: Any = None) -> tuple[Array, Array]:
        """Gradient and second derivative, in the shape of the scores."""
        if hasattr(second, "get_label"):
            y_true, y_pred, weight = second.get_label(), first, second.get_weight()
        else:
            y_true, y_pred = first, second
        return self._derivatives(np.asarray(y_true), np.asarray(y_pred), weight)

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[tuple[float, float]]:
        """CatBoost's: for each sample the derivatives of minus the loss, which it maximises."""
        gradient, second = self._derivatives(np.asarray(targets, float), np.asarray(approxes, float), weights)
        return list(zip((-gradient).tolist(), (-second).tolist(), strict=True))

    def _derivatives(self, y_true: Array, y_pred: Array, weight: Any) -> tuple[Array, Array]:
        classes = self.spec.definition.has_labels
        if classes and y_pred.ndim == 1:
            # LightGBM's own `train` hands the scores of all classes over one after the other, class by class.
            y_pred = y_pred.reshape(-1, len(y_true)).T
        if classes:
            y_true = y_true.astype(np.int64)
        gradient, second = loss.make(self.spec, "numpy").grad_and_hess(y_true, y_pred.astype(np.float64))
        if self.constant_hessian:
            second = np.ones_like(gradient)
        if weight is not None and np.size(weight):
            factor = np.asarray(weight, float).reshape(-1, *([1] * (gradient.ndim - 1)))
            gradient, second = gradient * factor, second * factor
        return gradient, second


def objective(name: str, library: str, *, hessian: str = "exact", **given: Any) -> Objective:
    """A loss as a gradient booster's custom objective.

    Args:
        name: of an elementwise loss, such as "huber" or "bce" (with `from_logits=True`: the score of a booster is a
            logit), or of a loss of integer labels, such as "scce", for multi-class boosting.
        library: "lightgbm", "xgboost" or "catboost" (of which single scores only).
        hessian: "exact", the loss's second derivative, or "constant", 1: then boosting goes by the gradient alone, as
            losses like the absolute error need, whose second derivative is 0 everywhere.
        given: the loss's own options.

    Returns:
        An `Objective`: pass it as `objective=` to `LGBMRegressor`, `XGBRegressor` and the like, as
        `params={"objective": ...}` to `lightgbm.train`, as `obj=` to `xgboost.train`, as `loss_function=` to CatBoost.

    Raises:
        ValueError: an unknown library or loss, a loss of other inputs or of probabilities, or one whose exact second
            derivative is 0.

    Example:
        >>> import multiloss
        >>> objective = multiloss.objective("log_cosh", library="xgboost")
        >>> gradient, second = objective([0.0, 0.0], [0.0, 100.0])
        >>> gradient.tolist(), second.tolist()
        ([0.0, 1.0], [1.0, 5.535...e-87])
    """
    library = options.one_of(*LIBRARIES)("library", library)
    hessian = options.one_of("exact", "constant")("hessian", hessian)
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
    domain = definition.domain(spec.kwargs).get("y_pred")
    if domain is not None and np.isfinite(domain.high):
        # A booster starts at 0, where the floor of a probability has no gradient: it would learn nothing, silently.
        logits = "; pass from_logits=True" if "from_logits" in spec.kwargs else ""
        raise ValueError(f"a booster's score is any number, but {definition.name} is of {domain.wanted}{logits}")
    if definition.grad is None or definition.hess is None:
        raise ValueError(f"{definition.name} has no closed-form second derivative, which an objective needs")
    dispatch.backend("numpy")
    if hessian == "exact" and _is_flat(spec):
        raise ValueError(
            f"the second derivative of {definition.name} is 0 everywhere, and a booster divides by it; pass "
            f"hessian='constant'"
        )
    return Objective(spec, library, hessian == "constant")


def _is_flat(spec: loss.Spec) -> bool:
    """Whether the second derivative is 0 wherever one looks."""
    if spec.definition.has_labels:
        return False
    domain = spec.definition.domain(spec.kwargs).get("y_true")
    targets = np.array(domain.values if domain is not None and domain.values else [0.25, 0.75], float)
    y_true = np.repeat(targets, 41)
    y_pred = np.tile(np.linspace(-3.0, 3.0, 41), len(targets))
    with np.errstate(all="ignore"):
        second = loss.make(dataclasses.replace(spec, validate=False), "numpy").grad_and_hess(y_true, y_pred)[1]
    return not np.any(np.nan_to_num(second))
