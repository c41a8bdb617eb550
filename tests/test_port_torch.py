"""Losses of PyTorch, ported: torch's own values and gradients, over generated arguments and inputs.

Those of classes and of two outcomes are in `test_port_torch_classes.py`; notes, refusals and objects in
`test_port_torch_notes.py`.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.ports import check, native
from helpers.torch_ports import FOUR, REDUCTIONS, SHAPES, THREE, form, generator, some

pytestmark = [
    pytest.mark.cross,
    pytest.mark.filterwarnings("ignore:size_average and reduce", "ignore:reduction. .mean. divides"),
]


def errors(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Targets and predictions; errors of 0, of 1 (where parabolas end), small and large ones."""
    t = rng.integers(-3, 4, shape) / 2
    e = rng.choice([0.0, 1.0, -1.0, 0.5, -0.25, 1e-9, -1e4, 1e150], shape) * rng.choice([1.0, 1.0, 0.7], shape)
    return {"y_true": t, "y_pred": t + e}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MSELoss", {}),
        ("L1Loss", {}),
        ("HuberLoss", {}),
        ("HuberLoss", {"delta": 0.25}),
        ("SmoothL1Loss", {}),
        ("SmoothL1Loss", {"beta": 0.25}),
        ("SmoothL1Loss", {"beta": 0}),
        ("functional.mse_loss", {}),
        ("functional.l1_loss", {}),
        ("functional.huber_loss", {"delta": 2.0}),
        ("functional.smooth_l1_loss", {"beta": 0.5}),
    ],
)
def test_errors(name: str, arguments: dict[str, Any], reduction: str, shape: tuple[int, ...]) -> None:
    arrays = errors(generator(name, arguments, reduction, shape), shape)
    check(
        form(name, reduction=reduction, **arguments),
        arrays,
        backends=FOUR if shape == (4, 3) and reduction == "mean" else THREE,
    )


@pytest.mark.parametrize(
    "legacy", [{"size_average": s, "reduce": r} for s in (None, True, False) for r in (True, False)]
)
@pytest.mark.parametrize("name", ["MSELoss", "functional.l1_loss", "SoftMarginLoss"])
def test_legacy_reductions(name: str, legacy: dict[str, Any]) -> None:
    rng = generator(name, legacy)
    arrays = {"y_true": rng.choice([-1.0, 1.0], (4, 3)), "y_pred": rng.normal(size=(4, 3))}
    check(form(name, **legacy), arrays, backends=("numpy",))


@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("eps", [None, 1e-8, 0.1, 0])
def test_poisson(eps: float | None, full: bool, reduction: str, shape: tuple[int, ...]) -> None:
    """Of logarithms, from those of no rate to large ones; of rates, 0 among them where something is added."""
    rng = generator(eps, full, reduction, shape)
    t = rng.choice([0.0, 0.5, 1.0, 1.5, 2.0, 7.0, 1e5], shape)
    how: dict[str, Any] = {"full": full, "reduction": reduction}
    if eps is None:
        arrays = {"y_true": t, "y_pred": rng.choice([-800.0, -3.0, 0.0, 0.5, 5.0, 300.0], shape) + rng.random(shape)}
        check(form("PoissonNLLLoss", **how), arrays, backends=some(reduction))
    else:
        arrays = {"y_true": t, "y_pred": rng.choice([0.0 if eps else 0.5, 1e-12, 0.3, 4.0, 1e5], shape)}
        check(form("functional.poisson_nll_loss", log_input=False, eps=eps, **how), arrays)


@pytest.mark.parametrize("wrt", ["y_pred", "var", "y_true"])
@pytest.mark.parametrize("arguments", [{}, {"full": True}, {"eps": 0.01}])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["GaussianNLLLoss", "functional.gaussian_nll_loss"])
def test_gaussian(name: str, reduction: str, arguments: dict[str, Any], wrt: str) -> None:
    rng = generator(name, reduction, arguments, wrt)
    arrays = errors(rng, (4, 3))
    arrays["y_pred"] = np.clip(arrays["y_pred"], -1e5, 1e5)
    arrays["var"] = rng.choice([0.0, 1e-7, 0.005, 0.5, 1.0, 30.0], (4, 3))
    check(form(name, reduction=reduction, **arguments), arrays, gradient=wrt)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.parametrize("name", ["KLDivLoss", "functional.kl_div"])
def test_kl_divergence(name: str, reduction: str, log_target: bool, shape: tuple[int, ...]) -> None:
    rng = generator(name, reduction, log_target, shape)
    t = rng.choice([0.0, 1e-300, 0.2, 0.7, 1.0, 3.0], shape)
    x = rng.choice([-1e4, -30.0, -0.5, 0.0, 2.0], shape) + rng.random(shape)
    arrays = {"y_true": np.log(t + 1e-5) if log_target else t, "y_pred": x}
    check(form(name, reduction=reduction, log_target=log_target), arrays, backends=some(reduction))
    if not log_target:
        x.flat[0], t.flat[0] = -np.inf, 0.5
        check(form(name, reduction=reduction), arrays)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_soft_margin(reduction: str, shape: tuple[int, ...]) -> None:
    rng = generator(reduction, shape)
    arrays = {"y_true": rng.choice([-1.0, 0.0, 1.0], shape), "y_pred": rng.uniform(-9, 9, shape)}
    check(form("SoftMarginLoss", reduction=reduction), arrays, backends=some(reduction))
    arrays = {"y_true": np.ones(shape), "y_pred": rng.choice([-700.0, -80.0, 0.0], shape)}
    check(form("functional.soft_margin_loss", reduction=reduction), arrays)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [1.0, 0.25, -0.5, 0])
def test_hinge_embedding(margin: float, reduction: str, shape: tuple[int, ...]) -> None:
    rng = generator(margin, reduction, shape)
    arrays = {
        "y_true": rng.choice([-1.0, 0.0, 1.0], shape),
        "y_pred": rng.choice([margin, 0.0, 0.3, 2.0, 1e200], shape),
    }
    name = ("HingeEmbeddingLoss", "functional.hinge_embedding_loss")[len(shape) % 2]
    check(form(name, margin=margin, reduction=reduction), arrays, backends=some(reduction))


@pytest.mark.parametrize("wrt", ["x1", "x2"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_margin_ranking(reduction: str, shape: tuple[int, ...], wrt: str) -> None:
    rng = generator(reduction, shape, wrt)
    margin = rng.choice([0, 0.5, -0.5]).item() if reduction != "none" else 0
    scores = {name: rng.choice([0.0, 0.5, 1.0, -1e4], shape) for name in ("x1", "x2")}
    arrays = {"y_true": rng.choice([-1.0, 0.0, 1.0], shape), **scores}
    name = "MarginRankingLoss" if wrt == "x1" else "functional.margin_ranking_loss"
    check(form(name, margin=margin, reduction=reduction), arrays, backends=some(reduction), gradient=wrt)


@pytest.mark.parametrize("wrt", ["x1", "x2"])
@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-9, 1e100])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cosine_embedding(reduction: str, size: float, wrt: str) -> None:
    rng = generator(reduction, size, wrt)
    margin = rng.choice([0.0, 0.5, -0.3]).item()
    x1, x2 = size * rng.normal(size=(8, 3)), rng.normal(size=(8, 3))
    x1[0], x2[1], x1[2], x2[2] = 0.0, 0.0, [size, 0.0, 0.0], [0.0, 2.0, 0.0]
    arrays = {"y_true": np.array([1.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 0.0]), "x1": x1, "x2": x2}
    name = "CosineEmbeddingLoss" if wrt == "x1" else "functional.cosine_embedding_loss"
    check(form(name, margin=margin, reduction=reduction), arrays, gradient=wrt)


@pytest.mark.parametrize("wrt", ["anchor", "positive", "negative"])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("arguments", [{}, {"p": 1}, {"p": 3.5, "margin": 0.5}, {"p": 1.5}, {"eps": 0}, {"eps": 0.1}])
def test_triplet_margin(arguments: dict[str, Any], swap: bool, wrt: str) -> None:
    rng = generator(arguments, swap, wrt)
    points = {name: rng.normal(size=(6, 3)) for name in ("anchor", "positive", "negative")}
    a, p, n = points.values()
    p[0] = a[0]
    if arguments.get("eps") == 0:  # else rounding decides on which side of the kink it is
        a[1], p[1], n[1] = [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]
    a[2], p[2], n[2] = [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.0, 0.0]
    reduction = REDUCTIONS[rng.integers(3)]
    name = rng.choice(["TripletMarginLoss", "functional.triplet_margin_loss"])
    check(form(name, swap=swap, reduction=reduction, **arguments), points, gradient=wrt)
    check(form("TripletMarginLoss", **arguments), {name: x[3] for name, x in points.items()}, gradient=wrt)


@pytest.mark.parametrize("wrt", ["anchor", "positive", "negative"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("swap", [False, True])
def test_triplet_margin_with_distance(swap: bool, reduction: str, wrt: str) -> None:
    rng = generator(swap, reduction, wrt)
    points = {name: rng.normal(size=(2, 6, 3)) for name in ("anchor", "positive", "negative")}
    points["positive"][0] = points["anchor"][0]
    for name in ("TripletMarginWithDistanceLoss", "functional.triplet_margin_with_distance_loss"):
        check(form(name, swap=swap, reduction=reduction, margin=0.7), points, gradient=wrt)


@pytest.mark.parametrize("blank", [0, 4])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("name", ["CTCLoss", "functional.ctc_loss"])
def test_ctc(name: str, zero_infinity: bool, reduction: str, blank: int) -> None:
    """Time second here, first in torch. No labels, repeated ones, and (where they count 0) too many of them."""
    import torch

    from multiloss import porting

    rng = generator(name, zero_infinity, reduction, blank)
    labels = rng.integers(1, 5, (5, 3)) - (blank == 4)
    labels[1] = labels[1, 0]
    arrays = {
        "y_true": labels,
        "y_pred": 3 * rng.normal(size=(5, 8, 5)),
        "label_lengths": np.array([3, 3, 0, 1, 2]),
        "input_lengths": np.array([8, 3 if zero_infinity else 5, 4, 1, 2 + 1]),
    }
    written = form(name, blank=blank, reduction=reduction, zero_infinity=zero_infinity)
    source = porting.resolve(written)
    inner = native(*source, "torch")

    def peer(x: Any, *others: Any) -> Any:
        return inner(torch.log_softmax(x, -1).transpose(0, 1), *others)

    check(written, arrays, peer=peer, backends=some(reduction))
