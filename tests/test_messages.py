"""What an error says to do: the loss or option that was meant, first."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import multiloss

P = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
ONE_HOT = np.eye(3)[[0, 2]]
LABELS = np.array([0, 2])

NAMES = [  # what is typed, how the error goes on
    (
        "CrossEntropyLoss",
        "; torch.nn.CrossEntropyLoss() is multiloss.get('sparse_categorical_crossentropy', from_logits",
    ),
    ("CrossEntropyLoss", "as multiloss.port('torch.nn.CrossEntropyLoss()') makes it"),
    ("BCEWithLogitsLoss", "is multiloss.get('binary_crossentropy', from_logits=True, axis=())"),
    ("L1Loss", "; torch.nn.L1Loss() is multiloss.get('mean_absolute_error', axis=())"),
    ("mse_loss", "; torch.nn.functional.mse_loss is multiloss.get('mean_squared_error', axis=())"),
    ("KLDivLoss", "is multiloss.get('kl_divergence', epsilon=0.0, log_input=True, axis=())"),
    ("torch.nn.HuberLoss", "; torch.nn.HuberLoss() is multiloss.get('huber', axis=())"),
    (
        "softmax_cross_entropy_with_integer_labels",
        "is multiloss.get('sparse_categorical_crossentropy', from_logits=True, r",
    ),
    ("MeanSquaredError", "; keras.losses.MeanSquaredError() is multiloss.get('mean_squared_error')"),
    ("AdaptiveLogSoftmaxWithLoss", "is not ported: it owns the weights"),
    ("l1", "; did you mean mean_absolute_error?"),
    ("l2_error", "; did you mean mean_squared_error"),
    ("L2", "; did you mean mean_squared_error"),
    ("iou", "; did you mean jaccard"),
    ("IoULoss", "; did you mean jaccard"),
    ("simclr", "; did you mean ntxent"),
    ("supcon", "; did you mean supervised_contrastive"),
    ("xent", "; did you mean sparse_categorical_crossentropy, categorical_crossentropy"),
    ("gce", "; did you mean generalized_cross_entropy"),
    ("weighted_cross_entropy", "; did you mean categorical_crossentropy (with class_weight=)"),
    ("BCELogits", "; did you mean binary_crossentropy (with from_logits=True)"),
    ("weighted_bce", "; did you mean binary_crossentropy (with pos_weight=)"),
    ("pinball_loss", "; did you mean quantile"),
    ("neg_log_likelihood", "; did you mean nll"),
    ("poly1", "; did you mean poly_cross_entropy"),
    ("mean_tweedie_deviance", "; did you mean tweedie"),
    ("logistic", "; did you mean binary_crossentropy (with from_logits=True)"),
    ("FocalLoss", "; did you mean binary_focal_crossentropy, categorical_focal_crossentropy"),
    ("DiceLoss", "; did you mean dice"),
    ("rmse_loss", "; did you mean root_mean_squared_error"),
    ("CenterLoss", "; did you mean center"),
    ("hubre", "; did you mean huber?"),
]


@pytest.mark.parametrize(("name", "told"), NAMES)
def test_an_unknown_name_finds_what_was_meant(name: str, told: str) -> None:
    with pytest.raises(ValueError, match="unknown loss") as caught:
        multiloss.get(name)
    assert told in str(caught.value)


def port(form: str) -> Any:
    return multiloss.port(form, to="numpy")


def get(name: str, **options: Any) -> Any:
    return multiloss.get(name, backend="numpy", **options)


def center() -> Any:
    return get("center", num_classes=2, feature_dim=2)


CALLS: list[tuple[Any, str]] = [
    (lambda: get("scce")(ONE_HOT, P), "for one-hot or soft targets there is categorical_crossentropy"),
    (lambda: get("scce")(ONE_HOT.astype(int), P), "; for one-hot or soft targets there is categorical_crossentropy"),
    (
        lambda: get("scce")(P, LABELS),
        "are the two swapped? The order is (y_true, y_pred)",
    ),
    (lambda: center()(P[:, :2], LABELS), "are the two swapped? The order is (labels, features)"),
    (lambda: get(object()), "name must be a string such as 'huber', got object; multiloss.port takes losses"),  # type: ignore[arg-type]
    (lambda: multiloss.show(3), "loss must be a name such as 'huber' or a loss of multiloss, got int"),
    (lambda: get("cce")(LABELS, P), "for integer labels there is sparse_categorical_crossentropy"),
    (lambda: get("scce")(np.zeros((2, 5, 6), int), np.full((2, 3, 5, 6), 0.1)), "axis=1 has them there"),
    (lambda: get("kl")(P, np.log(P)), "these look like log-probabilities: pass log_input=True"),
    (lambda: get("kl")(np.log(P), P), "these look like log-probabilities: pass log_target=True"),
    (lambda: get("mse")(1.0, 2.0), "axis=() makes each number a value of its own"),
    (lambda: port("torch.nn.CrossEntropyLoss()")(P, P), "of a ported loss: targets='probabilities'"),
    (lambda: get("mse")(P, P, where=P > 0), "there is no 'where'; what you mean is called mask here"),
    (lambda: get("mse")(P, P, weights=[1.0, 2.0]), "what you mean is called sample_weight here"),
    (lambda: get("mse")(input=P, target=P), "what you mean is called y_pred here"),
    (
        lambda: get("arcface", num_classes=3),
        "WithWeight('arcface', num_classes=..., feature_dim=...) of multiloss.torch",
    ),
    (lambda: get("linear_cross_entropy", bias=True), "WithWeight('linear_cross_entropy'"),
    (lambda: get("mse", weight=[1.0, 2.0]), "sample_weight, given to the call"),
    (
        lambda: get("contrastive")(P, P, LABELS * 1.0),
        "x1 of shape (... D) must be (2, 3, D), with ... as in y_true, got",
    ),
    (lambda: get("contrastive")(P, P, LABELS * 1.0), "the inputs are (y_true, x1, x2)"),
    (
        lambda: get("gaussian_nll")(P, P, np.ones((3, 2))),
        "y_pred, (2, 3), or that with 1 for some of its lengths, or hold one number for each row, (2,), or be one",
    ),
    (lambda: get("lovasz_softmax")(LABELS[:, None], P[..., None]), "; class_axis=1 has the classes there"),
    (lambda: get("lovasz_softmax")(ONE_HOT, P), "argmax over axis -1 makes labels of one-hot targets"),
    (lambda: get("lovasz_softmax")(ONE_HOT.astype(int), P), "argmax over axis -1 makes labels of one-hot targets"),
    (lambda: get("generalized_kl_divergence")(P, np.log(P)), "these look like logarithms: pass log_input=True"),
    (lambda: get("kl")(P, np.log(P)), "these look like log-probabilities: pass log_input=True"),
    (lambda: get("js_divergence")(LABELS, P), "; labels have to be one-hot targets here, of the shape of y_pred"),
    (lambda: get("cce")(LABELS, P), "; for integer labels there is sparse_categorical_crossentropy"),
    (lambda: get("mse")(labels=P, logits=P), "there is no 'labels'; what you mean is called y_true here"),
    (lambda: port("multiloss.get('mse')"), "'multiloss.get' is of this library"),
    (lambda: port(f"nn.HuberLoss(delta=0x{'f' * 5000})"), "delta must be a literal, got 'a number of too many digits'"),
    (lambda: port("optax.l2_loss(x, y).mean()"), "write the loss alone, 'optax.l2_loss(x, y)': its mean"),
    (lambda: port("jnp.mean(optax.l2_loss(x, y))"), "write the loss alone, 'optax.l2_loss(x, y)': its mean"),
    (lambda: center().write_centers([[1.0]], [0]), "a row for each of classes, of shape (1, 2), got (1, 1)"),
    (lambda: center().write_centers([[1.0, 2.0]], [True]), "a list of class numbers of the center loss, got [True]"),
    (lambda: center().write_centers([[1.0], [1.0, 2.0]]), "centers must be a real (classes, features) array: "),
    (lambda: center().write_centers(np.ma.masked_array([[1.0, 2.0]], [[0, 1]]), [0]), "whose mask would be lost"),
    (lambda: get("softmax_cross_entropy"), "; optax.losses.softmax_cross_entropy is multiloss.get('categorical_cross"),
    (lambda: get("huber")(P, P, delta=2.0), "it is an option, given to multiloss.get('huber', delta=...)"),
    (lambda: get("huber")(P, P, reduction="sum"), "it is an option, given to multiloss.get('huber', reduction=...)"),
    (lambda: port("keras.src.losses.losses.Huber()"), "did you mean keras.losses.Huber"),
    (lambda: port("keras.losses.Mse()"), "did you mean keras.losses.mean_squared_error"),
    (lambda: port("keras.losses.MSELoss()"), "did you mean keras.losses.mean_squared_error"),
    (lambda: port("torch.nn.Huber()"), "did you mean torch.nn.HuberLoss"),
    (lambda: port("optax.losses.huber()"), "did you mean optax.losses.huber_loss"),
    (lambda: get("loss"), "multiloss.list_losses() has all names"),
]


@pytest.mark.parametrize(("call", "told"), CALLS, ids=range(len(CALLS)))
def test_an_error_says_what_to_do(call: Any, told: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert told in str(caught.value)


def test_hints_name_only_options_that_there_are() -> None:
    with pytest.raises(TypeError) as caught:
        get("mse", weight=[1.0, 2.0])
    assert "class_weight" not in str(caught.value)
    with pytest.raises(TypeError, match="has no option 'easy_margin' .its options") as caught:
        get("arcface", easy_margin=True)
    assert "did you mean" not in str(caught.value)


@pytest.mark.only("torch")
def test_vmap_of_one_number_names_the_axis(backend: str) -> None:
    import torch

    with pytest.raises(ValueError, match=r"axis=\(\) makes each number a value of its own"):
        torch.func.vmap(multiloss.get("mse", backend="torch"))(torch.ones(3), torch.ones(3))


def test_a_registered_loss_returns_values(backend: str, own_registry: Any) -> None:
    """Of elements or samples; and one that is made in code may lack a name."""
    multiloss.register("reduced")(lambda xp, y_true, y_pred: xp.sum((y_true - y_pred) ** 2))
    multiloss.register("number")(lambda xp, y_true, y_pred: 1.0)
    power = functools.partial(lambda xp, y_true, y_pred, k: (y_true - y_pred) ** k, k=2)
    multiloss.register("made")(power)
    code = {"loss": "lambda xp, y_true, y_pred: (y_true - y_pred) ** 2"}  # no __name__, so no module of the function
    multiloss.register("executed")(eval(code["loss"], {}))
    assert float(multiloss.get("executed", backend=backend)([[1.0, 2.0]], [[3.0, 4.0]])) == 4.0
    multiloss.register("rows")(lambda xp, y_true, y_pred: xp.sum(y_true - y_pred, axis=-1, keepdims=True))
    for name, told in (("reduced", "got shape ()"), ("number", "got a float"), ("rows", "got shape (1, 1)")):
        with pytest.raises(TypeError, match="must return one value per element of y_pred, of shape") as caught:
            multiloss.get(name, backend=backend)([[1.0, 2.0]], [[3.0, 4.0]])
        assert told in str(caught.value)
    assert float(multiloss.get("made", backend=backend)([[1.0, 2.0]], [[3.0, 4.0]])) == 4.0
