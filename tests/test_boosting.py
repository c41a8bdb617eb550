"""Custom objectives of gradient boosters: derivatives, and models trained with them on scikit-learn's data sets."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits

import multiloss
from multiloss import registry

SMOOTH = [
    ("mean_squared_error", {}), ("huber", {"delta": 1.5}), ("log_cosh", {}),
    ("binary_crossentropy", {"from_logits": True}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), SMOOTH)
@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_derivatives_are_differences(name: str, options: dict[str, Any], library: str) -> None:
    """Of each sample's own loss, in float64: gradient and second derivative against central differences."""
    rng = np.random.default_rng(0)
    y_true, score = rng.uniform(0.1, 0.9, 6), rng.normal(size=6)
    one = multiloss.get(name, backend="numpy", axis=(), reduction="none", **options)
    objective = multiloss.objective(name, library=library, **options)
    gradient, second = objective(y_true, score)
    h = 1e-4
    here, up, down = one(y_true, score), one(y_true, score + h), one(y_true, score - h)
    np.testing.assert_allclose(gradient, (up - down) / (2 * h), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(second, (up - 2 * here + down) / h**2, rtol=1e-5, atol=1e-6)
    weight = rng.uniform(0.5, 2.0, 6)
    weighted = objective(y_true, score, weight)
    np.testing.assert_allclose(weighted, (gradient * weight, second * weight))
    pairs = objective.calc_ders_range(score.tolist(), y_true.tolist(), weight.tolist())
    np.testing.assert_allclose(np.transpose(pairs), np.negative(weighted))  # CatBoost maximises


@pytest.fixture(scope="module")
def diabetes() -> tuple[Any, Any]:
    X, y = load_diabetes(return_X_y=True)
    return X, (y - y.mean()) / y.std()


def spread(y: Any) -> float:
    return float(np.mean(np.abs(y - np.median(y))))


@pytest.mark.parametrize(("name", "how"), [("huber", {}), ("log_cosh", {}), ("mae", {"hessian": "constant"})])
def test_xgboost(name: str, how: dict[str, Any], diabetes: tuple[Any, Any]) -> None:
    """Both of its interfaces learn, and the squared error gives what its own objective gives."""
    import xgboost

    X, y = diabetes
    objective = multiloss.objective(name, library="xgboost", **how)
    model = xgboost.XGBRegressor(n_estimators=40, max_depth=3, objective=objective, base_score=0.0, n_jobs=1).fit(X, y)
    assert np.mean(np.abs(model.predict(X) - y)) < 0.7 * spread(y)
    booster = xgboost.train(
        {"max_depth": 3, "base_score": 0.0, "nthread": 1}, xgboost.DMatrix(X, y), num_boost_round=40, obj=objective
    )
    np.testing.assert_allclose(booster.predict(xgboost.DMatrix(X)), model.predict(X), rtol=1e-4, atol=1e-5)
    ours = multiloss.objective("half_squared_error", library="xgboost")
    same = [
        xgboost.XGBRegressor(n_estimators=10, objective=o, base_score=0.0, n_jobs=1).fit(X, y).predict(X)
        for o in (ours, "reg:squarederror")
    ]
    np.testing.assert_allclose(same[0], same[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "how"), [("huber", {}), ("log_cosh", {}), ("mae", {"hessian": "constant"})])
def test_lightgbm(name: str, how: dict[str, Any], diabetes: tuple[Any, Any]) -> None:
    import lightgbm

    X, y = diabetes
    objective = multiloss.objective(name, library="lightgbm", **how)
    model = lightgbm.LGBMRegressor(n_estimators=40, objective=objective, n_jobs=1, verbose=-1).fit(X, y)
    assert np.mean(np.abs(model._Booster.predict(X) - y)) < 0.7 * spread(y)
    booster = lightgbm.train({"objective": objective, "verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, y), 40)
    np.testing.assert_allclose(booster.predict(X), model._Booster.predict(X), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Failed to import numba:UserWarning")  # only faster with it
@pytest.mark.parametrize(("name", "how"), [("huber", {}), ("log_cosh", {}), ("mae", {"hessian": "constant"})])
def test_catboost(name: str, how: dict[str, Any], diabetes: tuple[Any, Any]) -> None:
    """With and without weights, which it hands over as None."""
    catboost = pytest.importorskip("catboost", reason="catboost is not installed: no group has it, for its size")
    X, y = diabetes
    for weight in (None, np.full(len(y), 2.0)):
        model = catboost.CatBoostRegressor(
            loss_function=multiloss.objective(name, library="catboost", **how), eval_metric="RMSE", iterations=60,
            learning_rate=0.3, leaf_estimation_method="Gradient", leaf_estimation_iterations=1, verbose=0,
            thread_count=1, allow_writing_files=False,
        )  # fmt: skip
        model.fit(X, y, sample_weight=weight)
        assert np.mean(np.abs(model.predict(X) - y)) < 0.7 * spread(y)


BOUNDED = [
    name
    for name in multiloss.list_losses()
    if name not in registry.CENTER
    and (found := registry.find(name)).kind in ("elementwise", "over_labels")
    and (domain := found.domain(found.options).get("y_pred")) is not None
    and np.isfinite(domain.high)
]


@pytest.mark.parametrize("name", BOUNDED)
def test_probabilities_are_no_scores(name: str) -> None:
    hint = "; pass from_logits=True" if "from_logits" in registry.find(name).options else ""
    with pytest.raises(ValueError, match=f"score is any number, but {name} is of .*{hint}$"):
        multiloss.objective(name, library="lightgbm")
    if hint:
        multiloss.objective(name, library="lightgbm", from_logits=True)


def test_several_classes() -> None:
    """Softmax over the scores of ten classes, through both interfaces' layouts."""
    import lightgbm
    import xgboost

    X, y = load_digits(return_X_y=True)
    X, y = X[:600], y[:600]
    objective = multiloss.objective("scce", library="xgboost", from_logits=True)
    model = xgboost.train(
        {"num_class": 10, "max_depth": 3, "nthread": 1, "disable_default_eval_metric": True},
        xgboost.DMatrix(X, y), num_boost_round=8, obj=objective,
    )  # fmt: skip
    assert np.mean(model.predict(xgboost.DMatrix(X), output_margin=True).argmax(-1) == y) > 0.95
    objective = multiloss.objective("scce", library="lightgbm", from_logits=True)
    booster = lightgbm.train(
        {"objective": objective, "num_class": 10, "verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, y), 8
    )
    assert np.mean(booster.predict(X).argmax(-1) == y) > 0.95


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="library must be one of 'lightgbm', 'xgboost', 'catboost', got 'sklearn'"):
        multiloss.objective("huber", library="sklearn")
    with pytest.raises(ValueError, match="mean_absolute_error is 0 everywhere.*hessian='constant'"):
        multiloss.objective("mae", library="lightgbm")
    with pytest.raises(ValueError, match="root_mean_squared_error is not"):
        multiloss.objective("rmse", library="xgboost")
    for name, canonical in registry.CENTER.items():
        with pytest.raises(
            ValueError, match=f"an objective is of scores, and {canonical} loss of features and centers"
        ):
            multiloss.objective(name, library="xgboost")
    with pytest.raises(ValueError, match="a catboost objective is of single scores"):
        multiloss.objective("scce", library="catboost")
    with pytest.raises(ValueError, match="unknown loss 'hubert'; did you mean huber"):
        multiloss.objective("hubert", library="xgboost")
    objective = multiloss.objective("huber", library="lightgbm", delta=2.0)
    again = pickle.loads(pickle.dumps(objective))
    np.testing.assert_array_equal(again([0.0], [3.0]), objective([0.0], [3.0]))
