"""Losses as scikit-learn's scorers, and objectives as parameters of its estimators: named, equal by value, pickled."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.metrics import make_scorer
from sklearn.model_selection import cross_val_score

import multiloss

X, Y = np.zeros((6, 1)), np.array([0.0, 1.0, 2.0, 3.0, 4.0, 11.0])


@pytest.mark.parametrize("of", ["numpy", None])
def test_a_loss_is_a_scorer(of: str | None) -> None:
    scorer = make_scorer(multiloss.get("mae", backend=of), greater_is_better=False)
    assert "mean_absolute_error" in repr(scorer)
    scores = cross_val_score(DummyRegressor(), X, Y, scoring=scorer, cv=2)
    np.testing.assert_allclose(scores, [-5.0, -5.0])  # the mean of the other half is 6, 1


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_objectives_are_equal_by_value_and_say_what_makes_them(library: str) -> None:
    one = multiloss.objective("huber", library, delta=2.0)
    assert repr(one) == f"multiloss.objective('huber', {library!r}, delta=2.0, hessian='auto')"
    again = eval(repr(one), {"multiloss": multiloss})
    assert one == again == pickle.loads(pickle.dumps(one)) and hash(one) == hash(again)
    assert one != multiloss.objective("huber", library, delta=3.0) and one != "huber"


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_weight_counts_as_often_as_its_sample(library: str) -> None:
    """Through the scikit-learn interface of each library, which hands `sample_weight` over in its own way."""
    x, weight = np.arange(6.0)[:, None], np.array([1, 1, 3, 1, 1, 2])
    repeated = np.repeat(np.arange(6), weight)
    objective = multiloss.objective("huber", library, delta=1.0)
    model: Any
    if library == "xgboost":
        from xgboost import XGBRegressor

        model = XGBRegressor(objective=objective, n_estimators=3, min_child_weight=0, base_score=0.0)
    else:
        from lightgbm import LGBMRegressor

        model = LGBMRegressor(
            objective=objective, n_estimators=3, min_child_samples=1, min_data_in_bin=1, min_child_weight=0, verbose=-1
        )
    weighted = clone(model).fit(x, Y, sample_weight=weight).predict(x)
    plain = clone(model).fit(x[repeated], Y[repeated]).predict(x)
    np.testing.assert_allclose(weighted, plain, rtol=1e-5)
