"""Custom objectives of gradient boosters: models trained with them on scikit-learn's data sets, and refusals."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

import multiloss
from multiloss.engine import registry


@pytest.fixture(scope="module")
def diabetes() -> tuple[Any, Any]:
    X, y = load_diabetes(return_X_y=True)
    return X, (y - y.mean()) / y.std()


def boosted_scores(
    library: str, objective: Any, X: Any, y: Any, weight: Any = None, rounds: int = 60, classes: int | None = None
) -> Any:
    import lightgbm
    import xgboost

    how = {} if classes is None else {"num_class": classes}
    if library == "lightgbm":
        how |= {"objective": objective, "verbose": -1, "num_threads": 1}
        return lightgbm.train(how, lightgbm.Dataset(X, y, weight=weight), rounds).predict(X)
    how |= {"max_depth": 3, "nthread": 1, "base_score": 0.0, "disable_default_eval_metric": True}
    data = xgboost.DMatrix(X, y, weight=weight)
    model = xgboost.train(how, data, num_boost_round=rounds, obj=objective)
    return model.predict(data, output_margin=True).astype(float)


HESSIANS = ("auto", "exact", "constant")


def accepted_hessians(name: str, **options: Any) -> list[str]:
    taken = []
    for hessian in HESSIANS:
        try:
            multiloss.objective(name, library="lightgbm", hessian=hessian, **options)
        except ValueError:
            continue
        taken.append(hessian)
    return taken


def losses_boosted(kind: str, targets: tuple[float, ...] | None) -> list[tuple[str, dict[str, Any], str]]:
    found = []
    for name in multiloss.list_losses():
        if name in registry.CENTER or (definition := registry.find(name)).kind != kind:
            continue
        options: dict[str, Any] = {"from_logits": True} if "from_logits" in definition.options else {}
        if targets == (0.0, 1.0) and "labels" in definition.options:
            options["labels"] = "01"
        domain = definition.domain({**definition.options, **options}).get("y_true")
        if (None if domain is None else (domain.low, domain.high)) == targets:
            found += [(name, options, hessian) for hessian in accepted_hessians(name, **options)]
    return found


REAL = losses_boosted("elementwise", None)
BINARY = losses_boosted("elementwise", (0.0, 1.0))
CLASSES = losses_boosted("over_labels", None)


def test_the_lists_of_losses_to_boost_are_not_empty() -> None:
    robust = {"charbonnier", "huber", "log_cosh", "smooth_l1"}
    flat = {"mean_absolute_error", "quantile"}
    squares = {"mean_squared_error", "half_squared_error"}
    assert {name for name, _, hessian in REAL if hessian == "auto"} == robust | squares
    assert {name for name, _, hessian in REAL if hessian == "exact"} == squares
    assert {name for name, _, hessian in REAL if hessian == "constant"} == robust | squares | flat
    assert {"binary_focal_crossentropy", "hinge", "soft_margin"} <= {name for name, *_ in BINARY}
    assert {"generalized_cross_entropy", "sparse_poly_cross_entropy", "sparsemax"} <= {name for name, *_ in CLASSES}


@pytest.mark.parametrize(("name", "options", "hessian"), REAL)
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_no_loss_of_numbers_diverges(
    name: str, options: dict[str, Any], hessian: str, library: str, diabetes: tuple[Any, Any]
) -> None:
    X, y = diabetes
    for scale in (1.0, 100.0) if hessian == "auto" else (1.0,):
        score = boosted_scores(library, multiloss.objective(name, library, hessian=hessian, **options), X, scale * y)
        assert np.mean(np.abs(score - scale * y)) < 0.8 * spread(scale * y)


@pytest.mark.parametrize(("name", "options", "hessian"), BINARY)
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_no_loss_of_two_classes_diverges_at_wrong_labels(
    name: str, options: dict[str, Any], hessian: str, library: str
) -> None:
    X, right = load_breast_cancer(return_X_y=True)
    y = np.where(np.random.default_rng(0).random(len(right)) < 0.1, 1 - right, right)
    score = boosted_scores(library, multiloss.objective(name, library, hessian=hessian, **options), X, y)
    assert np.mean((score > 0) == right) > 0.88
    one = multiloss.get(name, backend="numpy", axis=(), **options)
    assert one(y.astype(float), score) < 0.5 * one(y.astype(float), np.zeros(len(y)))


@pytest.mark.parametrize(("name", "options", "hessian"), CLASSES)
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_no_loss_of_classes_diverges_at_wrong_labels(
    name: str, options: dict[str, Any], hessian: str, library: str
) -> None:
    X, right = (x[:300] for x in load_digits(n_class=4, return_X_y=True))
    rng = np.random.default_rng(0)
    y = np.where(rng.random(300) < 0.1, rng.integers(0, 4, 300), right)
    objective = multiloss.objective(name, library, hessian=hessian, **options)
    score = boosted_scores(library, objective, X, y, rounds=40, classes=4)
    assert np.mean(score.argmax(-1) == right) > 0.88
    one = multiloss.get(name, backend="numpy", **options)
    assert one(y, score) < one(y, np.zeros_like(score))


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_poisson_nll_boosts_counts(library: str, diabetes: tuple[Any, Any]) -> None:
    y = load_diabetes().target
    objective = multiloss.objective("poisson_nll", library)
    for counts in (y, np.round(y / 100)):
        rate = np.exp(boosted_scores(library, objective, diabetes[0], counts))
        assert np.mean(np.abs(rate - counts)) < 0.6 * spread(counts)
    X, two = np.repeat([[0.0], [1.0]], 100, axis=0), np.repeat([1.0, 9.0], 100)
    score = boosted_scores(library, objective, X, two)
    assert np.all(np.abs(score - np.log(two)) < 0.1)


def spread(y: Any) -> float:
    return float(np.mean(np.abs(y - np.median(y))))


BOOSTED = [("huber", {}), ("log_cosh", {}), ("mae", {"hessian": "constant"})]


@pytest.mark.parametrize(("name", "how"), BOOSTED)
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_both_interfaces_of_a_library_give_the_same_scores(
    library: str, name: str, how: dict[str, Any], diabetes: tuple[Any, Any]
) -> None:
    X, y = diabetes
    objective = multiloss.objective(name, library=library, **how)
    if library == "lightgbm":
        import lightgbm

        model = lightgbm.LGBMRegressor(n_estimators=40, objective=objective, n_jobs=1, verbose=-1).fit(X, y)
        score = model._Booster.predict(X)
    else:
        import xgboost

        model = xgboost.XGBRegressor(n_estimators=40, max_depth=3, objective=objective, base_score=0.0, n_jobs=1)
        score = model.fit(X, y).predict(X)
    np.testing.assert_allclose(boosted_scores(library, objective, X, y, rounds=40), score, rtol=1e-4, atol=1e-5)


def test_half_squared_error_is_xgboosts_own(diabetes: tuple[Any, Any]) -> None:
    import xgboost

    X, y = diabetes
    own = xgboost.XGBRegressor(n_estimators=10, max_depth=3, objective="reg:squarederror", base_score=0.0, n_jobs=1)
    ours = boosted_scores("xgboost", multiloss.objective("half_squared_error", library="xgboost"), X, y, rounds=10)
    np.testing.assert_allclose(ours, own.fit(X, y).predict(X), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Failed to import numba:UserWarning")  # only faster with it
@pytest.mark.parametrize(("name", "how"), BOOSTED)
def test_catboost_learns_with_and_without_weights(name: str, how: dict[str, Any], diabetes: tuple[Any, Any]) -> None:
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
    and "from_logits" in found.options
]


@pytest.mark.parametrize("name", BOUNDED)
def test_probabilities_are_no_scores(name: str) -> None:
    hint = "; pass from_logits=True"
    for options in ({}, {"normalize": True}) if "normalize" in registry.find(name).options else ({},):
        for hessian in HESSIANS:
            with pytest.raises(ValueError, match=f"score is any number, but {name} is of probabilities.*{hint}$"):
                multiloss.objective(name, library="lightgbm", hessian=hessian, **options)
    multiloss.objective(name, library="lightgbm", from_logits=True)


INSTEAD = [
    ("poisson", {}, "is of values of 0 or above; poisson_nll takes the logarithm"),
    ("poisson_nll", {"log_input": False}, "is of values of 0 or above; pass log_input=True"),
    ("tweedie", {}, "is of values above 0; .* {library}'s own objective {tweedie}"),
    ("mean_squared_logarithmic_error", {}, r"is of values above -1 .*; it is mean_squared_error of log1p\(y_true\)"),
    ("nll", {}, "is of log-probabilities .*; sparse_categorical_crossentropy with from_logits=True"),
    ("hinge_embedding", {}, "is of distances of 0 or above; hinge is the loss of scores"),
    ("mean_absolute_percentage_error", {}, "diverges; it is mean_absolute_error with sample weights of 100 / abs"),
    ("symmetric_mean_absolute_percentage_error", {}, r"diverges; .*mean_absolute_error of log\(y_true\)"),
    ("perceptron", {}, "is 0 at scores of 0, where boosting starts: .* hinge losses"),
    ("multiclass_perceptron", {}, "is 0 at scores of 0, where boosting starts: .* hinge losses"),
]


@pytest.mark.parametrize(("name", "options", "message"), INSTEAD)
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_what_is_refused_names_what_to_boost(name: str, options: dict[str, Any], message: str, library: str) -> None:
    tweedie = {"lightgbm": "'tweedie'", "xgboost": "'reg:tweedie'"}[library]
    for hessian in HESSIANS:
        with pytest.raises(ValueError, match=message.format(library=library, tweedie=tweedie)):
            multiloss.objective(name, library=library, hessian=hessian, **options)


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("charbonnier", "xgboost", {"hessian": "exact"}, "far too small where the error is large.*leave hessian out"),
    ("binary_focal_crossentropy", "xgboost", {"hessian": "exact", "from_logits": True},
     "is negative in places.*leave hessian out"),
    ("smooth_l1", "xgboost", {"beta": 0.0}, "smooth_l1 is 0 everywhere.*pass hessian='constant'"),
    ("multi_margin", "xgboost", {}, "multi_margin is 0 everywhere.*pass hessian='constant'"),
    ("mae", "lightgbm", {}, "mean_absolute_error is 0 everywhere.*hessian='constant'"),
    ("poisson_nll", "xgboost", {"hessian": "constant"}, "a second derivative of 1 diverges; leave hessian out"),
    ("multiclass_hinge", "xgboost", {"hessian": "constant", "class_weight": (1.0, 50.0)},
     "of 1 diverges; give class_weight as sample weights"),
    ("huber", "sklearn", {}, "library must be one of 'lightgbm', 'xgboost', 'catboost', got 'sklearn'"),
    ("rmse", "xgboost", {}, "root_mean_squared_error is not"),
    ("scce", "catboost", {}, "a catboost objective is of single scores"),
    ("hubert", "xgboost", {}, "unknown loss 'hubert'; did you mean huber"),
    *[(name, "xgboost", {}, f"an objective is of scores, and {canonical} loss of features and centers")
      for name, canonical in registry.CENTER.items()],
]  # fmt: skip


@pytest.mark.parametrize(("name", "library", "options", "said"), REFUSED)
def test_refused(name: str, library: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        multiloss.objective(name, library=library, **options)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_the_advice_of_a_refusal(library: str, diabetes: tuple[Any, Any]) -> None:
    """Each loss that cannot be boosted, by what its refusal names: the loss falls below that of the best constant."""
    X, y = diabetes[0], load_diabetes().target
    absolute = multiloss.objective("mean_absolute_error", library, hessian="constant")

    def improves(name: str, predicted: Any, target: Any = y) -> bool:
        one = multiloss.get(name, backend="numpy", axis=())
        best = min(one(target, np.full(len(y), q)) for q in np.quantile(target, np.linspace(0.01, 0.99, 99)))
        return bool(one(target, predicted) < 0.9 * best)

    # Shifted, so that boosting starts amid the targets.
    assert improves("mape", 100 + 50 * boosted_scores(library, absolute, X, (y - 100) / 50, 1 / np.abs(y)))
    assert improves("smape", np.exp(5 + boosted_scores(library, absolute, X, np.log(y) - 5)))
    squared = multiloss.objective("mean_squared_error", library)
    assert improves("msle", np.expm1(boosted_scores(library, squared, X, np.log1p(y))))
    if library == "lightgbm":
        import lightgbm

        own: Any = lightgbm.LGBMRegressor(objective="tweedie", n_estimators=60, n_jobs=1, verbose=-1)
    else:
        import xgboost

        own = xgboost.XGBRegressor(objective="reg:tweedie", n_estimators=60, n_jobs=1)
    assert improves("tweedie", own.fit(X, y).predict(X))
    z, labels = np.array([[1.0, -2.0, 0.5]]), np.array([2])
    nll, scce = multiloss.get("nll", backend="numpy"), multiloss.get("scce", backend="numpy", from_logits=True)
    np.testing.assert_allclose(scce(labels, z), nll(labels, multiloss.log_softmax(z)), rtol=1e-14)


def test_an_objective_is_pickled() -> None:
    objective = multiloss.objective("huber", library="lightgbm", delta=2.0)
    again = pickle.loads(pickle.dumps(objective))
    np.testing.assert_array_equal(again([0.0], [3.0]), objective([0.0], [3.0]))
