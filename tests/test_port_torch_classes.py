"""Losses of classes and of two outcomes of PyTorch, ported: torch's own values and gradients."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import multiloss
from helpers.ports import check, native
from helpers.torch_ports import FOUR, REDUCTIONS, SHAPES, THREE, form, generator, some
from multiloss import porting

pytestmark = [pytest.mark.cross, pytest.mark.filterwarnings("ignore:.NLLLoss2d. has been deprecated")]

CLASSES = 4
WEIGHTS = (None, [0.5, 1.0, 2.0, 3.0], [0.0, 1.0, 0.0, 2.0])
BATCHES = ((6,), (3, 2), (2, 2, 3))
"""N, d, ...: shapes of labels."""


def scores(rng: np.random.Generator, batch: tuple[int, ...]) -> NDArray[Any]:
    """Logits with the classes on axis 1, a sample of large ones among them."""
    z = 3 * rng.normal(size=(batch[0], CLASSES, *batch[1:]))
    z[0] *= 1e4
    return z


def labels(rng: np.random.Generator, batch: tuple[int, ...], ignored: int) -> NDArray[Any]:
    y = rng.integers(0, CLASSES, batch)
    y[-1] = np.where(np.arange(y[-1].size).reshape(y[-1].shape) == 0, ignored, y[-1])
    y.flat[:2] = 1, 3
    return y


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("ignored", [-100, 2])
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy(
    reduction: str, label_smoothing: float, weight: Any, ignored: int, batch: tuple[int, ...]
) -> None:
    rng = generator(reduction, label_smoothing, weight, ignored, batch)
    arrays = {"y_true": labels(rng, batch, ignored), "y_pred": scores(rng, batch)}
    how = {"weight": weight, "label_smoothing": label_smoothing, "reduction": reduction, "ignore_index": ignored}
    name = "CrossEntropyLoss" if len(batch) < 3 else "functional.cross_entropy"
    check(form(name, **how), arrays, backends=some(reduction) if len(batch) == 2 else THREE)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_probabilities(
    reduction: str, label_smoothing: float, weight: Any, batch: tuple[int, ...]
) -> None:
    rng = generator(reduction, label_smoothing, weight, batch)
    z = scores(rng, batch)
    t = rng.random(z.shape)
    t[0] = 0.0
    t[1:] /= t[1:].sum(axis=1, keepdims=True)
    t[-1] *= 1.5
    written = form("CrossEntropyLoss", weight=weight, label_smoothing=label_smoothing, reduction=reduction)
    backends = some(reduction) if len(batch) == 2 else THREE
    check(written, {"y_true": t, "y_pred": z}, targets="probabilities", backends=backends)


def test_cross_entropy_of_masked_classes() -> None:
    z = np.array([[0.5, -np.inf, 1.0, 2.0], [-np.inf, 0.0, 0.0, -np.inf]])
    arrays = {"y_true": np.array([2, 1]), "y_pred": z}
    for how in (
        {},
        {"weight": [1.0, 2.0, 3.0, 4.0]},
        {"label_smoothing": 0.1},
        {"weight": [1.0] * 4, "label_smoothing": 0.1},
    ):
        check(form("CrossEntropyLoss", reduction="none", **how), arrays, backends=FOUR)
    arrays["y_true"] = np.array([1, 0])
    check("torch.nn.CrossEntropyLoss(reduction='none')", arrays)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("ignored", [-100, 2])
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll(reduction: str, weight: Any, ignored: int, batch: tuple[int, ...]) -> None:
    rng = generator(reduction, weight, ignored, batch)
    x = -np.abs(scores(rng, batch))
    x[1, 0] = -np.inf
    arrays = {"y_true": labels(rng, batch, ignored), "y_pred": x}
    how = {"weight": weight, "reduction": reduction, "ignore_index": ignored}
    for name, backends in (("NLLLoss", THREE), ("NLLLoss2d", ("numpy",)), ("functional.nll_loss", ("numpy",))):
        check(form(name, **how), arrays, backends=backends)


@pytest.mark.parametrize("wrt", ["features", "weight", "bias"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_linear_cross_entropy(reduction: str, weight: Any, label_smoothing: float, wrt: str) -> None:
    """The bias is given by name in torch."""
    rng = generator(reduction, weight, label_smoothing, wrt)
    arrays = {
        "features": rng.normal(size=(6, 3)),
        "weight": rng.normal(size=(CLASSES, 3)),
        "y_true": labels(rng, (6,), -100),
    }
    how = {"weight": weight, "reduction": reduction, "label_smoothing": label_smoothing}
    written = form("functional.linear_cross_entropy", **how)
    if wrt != "bias":
        check(written, arrays, gradient=wrt)
        return
    loss, bias = multiloss.port(written, to="numpy"), rng.normal(size=CLASSES)
    value, gradient = loss.value_and_grad(**arrays, bias=bias, wrt="bias")
    inner = native(*porting.resolve(written), "torch")
    x, w, y = (torch.tensor(arrays[name]) for name in ("features", "weight", "y_true"))
    b = torch.tensor(bias, requires_grad=True)
    wanted = inner(x, w, y, linear_bias=b)
    np.testing.assert_allclose(value, wanted.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(gradient, torch.autograd.grad(wanted.sum(), b)[0].numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("arguments", [{}, {"p": 2}, {"margin": 0.5}, {"p": 2, "margin": 0}, {"margin": -1.0}])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_multi_margin(reduction: str, arguments: dict[str, Any], weight: Any) -> None:
    rng = generator(reduction, arguments, weight)
    arrays = {"y_true": rng.integers(0, CLASSES, 6), "y_pred": rng.integers(-4, 5, (6, CLASSES)) / 2}
    arrays["y_pred"][0] *= 1e4
    check(form("functional.multi_margin_loss", reduction=reduction, weight=weight, **arguments), arrays)
    check(
        form("MultiMarginLoss", reduction=reduction, weight=weight, **arguments), {k: x[1] for k, x in arrays.items()}
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_multilabel_margin(reduction: str) -> None:
    sets = np.array([[3, 0, -1, 1], [1, -1, -1, -1], [0, 1, 2, 3], [-1, 2, 3, 0], [2, 2, 0, -1]])
    arrays = {"y_true": sets, "y_pred": generator(reduction).integers(-4, 5, (5, 4)) / 2}
    for name in ("MultiLabelMarginLoss", "functional.multilabel_margin_loss"):
        check(form(name, reduction=reduction), arrays, backends=FOUR)
    check(form("MultiLabelMarginLoss", reduction=reduction), {name: x[0] for name, x in arrays.items()})


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_multilabel_soft_margin(reduction: str, shape: tuple[int, ...], weight: Any) -> None:
    rng = generator(reduction, shape, weight)
    y_true = rng.choice([0.0, 1.0, 0.3, 2.0], shape)
    # The value of a target of 2 may be negative: -1e300 and 1e300 would leave what the order of a sum makes of them.
    arrays = {"y_true": y_true, "y_pred": np.where(y_true > 1, rng.normal(size=shape), logits(rng, shape))}
    name = ("MultiLabelSoftMarginLoss", "functional.multilabel_soft_margin_loss")[len(shape) % 2]
    check(form(name, reduction=reduction, weight=weight), arrays, backends=some(reduction))


def logits(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """Small ones and very large ones; not where torch loses digits."""
    return rng.choice([0.0, 1e4, -1e4, 1e300, 5.0, -5.0], shape) + rng.normal(size=shape)


ELEMENT_WEIGHTS = (None, 2.5, [3.0], [0.5, 0.0, 2.0, 1.0], [[0.5], [2.0], [0.0]], [[1.0, 2.0, 3.0, 4.0]] * 3)
"""As torch broadcasts them: one, one a class, one a sample, one an element."""


@pytest.mark.parametrize("pos_weight", [*ELEMENT_WEIGHTS, [-1.0]])
@pytest.mark.parametrize("weight", ELEMENT_WEIGHTS)
def test_bce_with_logits(weight: Any, pos_weight: Any) -> None:
    rng = generator(weight, pos_weight)
    reduction = REDUCTIONS[rng.integers(3)]
    arrays = {"y_true": rng.choice([0.0, 1.0, 0.3, 2.0, -1.0], (3, 4)), "y_pred": logits(rng, (3, 4))}
    name = ("BCEWithLogitsLoss", "functional.binary_cross_entropy_with_logits")[weight is None]
    check(form(name, reduction=reduction, weight=weight, pos_weight=pos_weight), arrays, backends=some(reduction))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_bce_with_logits_of_shapes(reduction: str, shape: tuple[int, ...]) -> None:
    """One weight for each of the first of the axes behind the batch's, (C, 1), where there are such."""
    rng = generator(reduction, shape)
    arrays = {"y_true": rng.random(shape), "y_pred": logits(rng, shape)}
    how = {"pos_weight": [[0.5], [1.0], [3.0]], "reduction": reduction} if len(shape) == 3 else {"reduction": reduction}
    check(form("BCEWithLogitsLoss", **how), arrays, backends=FOUR)


@pytest.mark.parametrize("weight", ELEMENT_WEIGHTS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_bce(reduction: str, weight: Any) -> None:
    """Probabilities at 0 and 1, right and wrong, where torch's logarithm and its derivative stop."""
    rng = generator(reduction, weight)
    p = rng.choice([0.0, 1.0, 1e-300, 1e-20, 1e-13, 1e-7, 0.3, 0.9, 1 - 1e-9, 1 - 2.0**-53], (3, 4))
    for t in (rng.choice([0.0, 1.0], (3, 4)), rng.random((3, 4))):
        for name in ("BCELoss", "functional.binary_cross_entropy"):
            check(form(name, reduction=reduction, weight=weight), {"y_true": t, "y_pred": p}, backends=some(reduction))


@pytest.mark.parametrize("shape", SHAPES)
def test_bce_of_shapes(shape: tuple[int, ...]) -> None:
    rng = generator(shape)
    check("torch.nn.BCELoss()", {"y_true": rng.random(shape), "y_pred": rng.random(shape)}, backends=FOUR)


def test_weights_of_large_arrays() -> None:
    rng = generator("large")
    arrays = {"y_true": rng.random((70000, 4)), "y_pred": rng.normal(size=(70000, 4))}
    how = {"weight": [0.5, 0.0, 2.0, 1.0], "pos_weight": [1.0, 2.0, 3.0, 4.0]}
    for name in ("BCEWithLogitsLoss", "MultiLabelSoftMarginLoss"):
        given = how if name == "BCEWithLogitsLoss" else {"weight": how["weight"]}
        check(form(name, **given), arrays, backends=("torch",))
