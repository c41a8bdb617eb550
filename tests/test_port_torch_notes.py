"""What is not the same in a port of a loss of PyTorch: notes that are true, refusals; and its objects and functions."""

import functools
import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import multiloss
from helpers.ports import check, check_note, is_finite, is_nan
from helpers.torch_ports import form
from multiloss.porting import RefusedError

pytestmark = [
    pytest.mark.cross,
    pytest.mark.filterwarnings("ignore:size_average and reduce", "ignore:reduction. .mean. divides"),
]


Z = [[1.0, 2.0], [3.0, 4.0]]
TAIL = math.exp(-40)
CHANCES = {"targets": "probabilities"}
NOTES: list[tuple[str, str, Any, Any, Any, Any, dict[str, Any]]] = [
    # written form, words of its notes, y_true, y_pred; value and gradient of torch; of the port
    ("MSELoss()", "empty batch", np.zeros((0, 3)), np.zeros((0, 3)), (is_nan, None), (0.0, None), {}),
    ("CrossEntropyLoss()", "all ignored|not reproduced", [-100, -100], Z, (is_nan, None), (0.0, 0.0), {}),
    ("CrossEntropyLoss()", "nan logits|not reproduced", [0, -100], [[1.0, 2.0], [math.nan, 4.0]],
     (None, lambda x: math.isnan(x[1, 0])), (None, lambda x: not x[1].any()), {}),
    ("CrossEntropyLoss(weight=[1.0, 0.0])", "no weight above 0|not reproduced", [1], [[1.0, 2.0]], (is_nan, None),
     (0.0, None), {}),
    ("CrossEntropyLoss(weight=[1.0, 0.0], label_smoothing=0.1)", "no weight above 0", [1], [[1.0, 2.0]], (None, None),
     (is_finite, None), {}),
    # a class that is ruled out
    *[(f"CrossEntropyLoss({weight})", words, [[1.0, 0.0]], [[1.0, -math.inf]], (is_nan, None), (0.0, None), CHANCES)
      for weight, words in (("", "-inf|not reproduced"), ("weight=[1.0, 2.0]", "of labels it is over"))],
    # 0 log 0, of both kinds of targets
    ("KLDivLoss(reduction='sum')", "target is 0|not reproduced", [0.0], [-math.inf], (is_nan, None), (0.0, None), {}),
    ("KLDivLoss(reduction='sum', log_target=True)", "log-target|not reproduced", [-math.inf], [-1.0], (is_nan, None),
     (0.0, None), {}),
    ("PoissonNLLLoss(log_input=False, eps=0)", "rate of 0|not reproduced", [0.0], [0.0], (is_nan, None), (0.0, 1.0),
     {}),
    # confident, right answers count exactly 0, with a gradient of 0; far margins overflow
    ("BCEWithLogitsLoss()", "confident|not reproduced", [0.0], [-40.0], (0.0, None), (TAIL, TAIL), {}),
    ("BCEWithLogitsLoss()", "confident|not reproduced", [1.0], [40.0], (None, 0.0), (TAIL, -TAIL), {}),
    ("SoftMarginLoss()", "overflows|not reproduced", [1.0], [-800.0], (math.inf, is_nan), (800.0, -1.0), {}),
    ("MultiMarginLoss()", "nan|not reproduced", [0], [[math.nan, 1.0]], (0.0, None), (is_nan, None), {}),
]  # fmt: skip


@pytest.mark.parametrize(("form", "words", "y_true", "y_pred", "theirs", "ours", "how"), NOTES)
def test_notes_are_true(form: str, words: str, y_true: Any, y_pred: Any, theirs: Any, ours: Any, how: Any) -> None:
    check_note(f"torch.nn.{form}", words, {"y_true": y_true, "y_pred": y_pred}, theirs, ours, **how)


def test_notes_are_of_the_options() -> None:
    for written, word, there in (
        ("MSELoss(reduction='sum')", "empty", False),
        ("KLDivLoss()", "batchmean", True),
        ("KLDivLoss(reduction='batchmean')", "batchmean", False),
        ("CrossEntropyLoss(weight=[1.0, 2.0])", "sum of the labels' weights", True),
        ("CTCLoss(zero_infinity=True)", "alignment", False),
    ):
        assert any(word in note for note in multiloss.port(f"torch.nn.{written}").notes) == there, written


def test_notes_of_alignments() -> None:
    """torch: a sample without any has a nan gradient."""
    z = torch.tensor([[[0.0, 1.0, 2.0]]], dtype=torch.float64, requires_grad=True)
    value = F.ctc_loss(z.log_softmax(-1).transpose(0, 1), torch.tensor([[1, 2]]), torch.tensor([1]), torch.tensor([2]))
    assert value == math.inf and torch.autograd.grad(value, z)[0].isnan().all()
    loss = multiloss.port("nn.CTCLoss()", to="numpy")
    value, gradient = loss.value_and_grad([[1, 2]], z.detach().numpy())
    assert value == math.inf and not gradient.any()
    assert any("alignment" in note and "not reproduced" in note for note in loss.notes)


def test_notes_of_kinks() -> None:
    """There multiloss's own gradient is 0, but the port's is torch's."""
    inputs = {"y_true": [1.0], "x1": [2.0], "x2": [2.0]}
    assert multiloss.get("margin_ranking", "numpy").value_and_grad(**inputs) == (0.0, np.array([0.0]))
    check_note("torch.nn.MarginRankingLoss()", "kink", inputs, (0.0, -1.0), (0.0, -1.0), wrt="x1")


@pytest.mark.parametrize(
    "source",
    [
        "torch.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [2])",
        "torch.nn.LinearCrossEntropyLoss(4, 10)",
        "F.mse_loss(weight=[1.0, 2.0])",
        "F.l1_loss(weight=[1.0, 2.0])",
        "F.huber_loss(weight=[1.0, 2.0])",
        "F.linear_cross_entropy(linear_bias=[1.0])",
        "F.linear_cross_entropy(options=1)",
        "nn.TripletMarginLoss(p=0.5)",
        "nn.TripletMarginLoss(p=1e999)",
        torch.nn.TripletMarginLoss(p=math.inf),
        torch.nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: x),
        torch.nn.TripletMarginWithDistanceLoss(distance_function=torch.nn.PairwiseDistance(keepdim=True)),
        functools.partial(F.mse_loss, weight=torch.ones(2)),
    ],
)
def test_refused_with_a_reason(source: Any) -> None:
    with pytest.raises(RefusedError, match="layer|data|leave them out|must be a finite|may compute anything"):
        multiloss.port(source)


def test_probabilities_of_a_linear_layer() -> None:
    with pytest.raises(RefusedError, match="port cross_entropy"):
        multiloss.port("F.linear_cross_entropy()", targets="probabilities")
    with pytest.raises(ValueError, match="ignore_index is for labels"):
        multiloss.port("F.cross_entropy(ignore_index=1)", targets="probabilities")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("nn.MSELoss(reduction='max')", "reduction must be 'mean', 'sum' or 'none', got 'max'"),
        ("nn.KLDivLoss(reduction='max')", "'batchmean'"),
        ("nn.L1Loss(reduction='batchmean')", "got 'batchmean'"),
        ("F.kl_div(size_average=True, reduction='batchmean')", "does not go with size_average"),
        ("nn.CrossEntropyLoss(label_smoothing=2)", r"label_smoothing must be in \[0, 1\], got 2"),
        ("nn.CrossEntropyLoss(label_smoothing=2, weight=[1, 2])", r"label_smoothing must be in \[0, 1\], got 2"),
        ("nn.CrossEntropyLoss(ignore_index=1.5)", "ignore_index must be an integer"),
        ("nn.CrossEntropyLoss(weight=2.0)", "weight must be a list"),
        ("nn.CrossEntropyLoss(weight=['a'])", r"weight\[0\] must be a number"),
        ("nn.BCELoss(weight=[[1.0], [2.0, 3.0]])", "weight must be an array of numbers"),
        ("nn.BCELoss(weight='a')", "weight must be an array of numbers"),
        ("nn.BCEWithLogitsLoss(pos_weight=[1e999, 1.0])", "pos_weight must be finite"),
        ("nn.MultiMarginLoss(p=3)", "p must be 1 or 2, got 3"),
        ("nn.MultiMarginLoss(margin='a')", "margin must be a number"),
        ("nn.MarginRankingLoss(margin='a')", "margin must be a number"),
        ("nn.HingeEmbeddingLoss(margin=None)", "margin must be a number"),
        ("nn.TripletMarginLoss(margin=0)", "margin must be greater than 0, got 0"),
        ("nn.TripletMarginLoss(swap='a')", "swap must be True or False"),
        ("nn.TripletMarginLoss(p='a')", "p must be a number"),
        ("nn.HuberLoss(delta=0)", "delta must be positive"),
        ("nn.SmoothL1Loss(beta=-1)", "beta must not be negative"),
        ("nn.SmoothL1Loss(beta='a')", "beta must be a number"),
        ("nn.GaussianNLLLoss(eps=-1)", "eps must not be negative"),
        ("nn.PoissonNLLLoss(eps='a')", "eps must be a number"),
        ("nn.PoissonNLLLoss(full=2)", "full must be True or False"),
        ("nn.CTCLoss(blank=-1)", "blank must not be negative"),
        ("nn.MSELoss(weight=[1.0])", "has no argument 'weight'"),
    ],
)
def test_impossible_arguments_are_named(written: str, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        multiloss.port(written, to="numpy")


@pytest.mark.parametrize("weight", [[1.0, 2.0], [[1.0], [2.0], [3.0]], [[[1.0] * 4]]])
def test_weights_that_do_not_fit_are_refused_with_both_shapes(weight: Any) -> None:
    loss = multiloss.port(form("BCELoss", weight=weight), to="numpy")
    with pytest.raises(ValueError, match=r"weight of shape \(.*\) cannot be broadcast to y_pred of shape \(2, 4\)"):
        loss(np.full((2, 4), 0.5), np.full((2, 4), 0.5))
    classes = multiloss.port(form("CrossEntropyLoss", weight=[1.0, 2.0], label_smoothing=0.1), to="numpy")
    with pytest.raises(ValueError, match="weight must be one for each of the 3 classes, got 2"):
        classes(np.array([0]), np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("thing", "written"),
    [
        (torch.nn.MSELoss(reduction="sum"), "nn.MSELoss(reduction='sum')"),
        (functools.partial(torch.nn.MSELoss, size_average=False), "nn.MSELoss(reduction='sum')"),
        (torch.nn.MSELoss, "nn.MSELoss()"),
        (torch.nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0])), "nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0])"),
        (torch.nn.NLLLoss(torch.tensor([1.0, 2.0]), ignore_index=1), "nn.NLLLoss([1.0, 2.0], ignore_index=1)"),
        (torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.5)), "nn.BCEWithLogitsLoss(pos_weight=2.5)"),
        (torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([[1.0], [2.0]])),
         "nn.BCEWithLogitsLoss(pos_weight=[[1.0], [2.0]])"),
        (torch.nn.TripletMarginWithDistanceLoss(swap=True), "nn.TripletMarginWithDistanceLoss(swap=True)"),
        (torch.nn.MultiMarginLoss(p=2, weight=torch.tensor([1.0])), "nn.MultiMarginLoss(p=2, weight=[1.0])"),
        (torch.nn.KLDivLoss(reduction="batchmean", log_target=True),
         "nn.KLDivLoss(reduction='batchmean', log_target=True)"),
        (torch.nn.CTCLoss(1, "sum"), "nn.CTCLoss(1, 'sum')"),
        (F.gaussian_nll_loss, "F.gaussian_nll_loss"),
        (functools.partial(F.cross_entropy, weight=torch.tensor([1.0, 2.0]), label_smoothing=0.1),
         "F.cross_entropy(weight=[1.0, 2.0], label_smoothing=0.1)"),
        (functools.partial(functools.partial(F.huber_loss, delta=2.0), reduction="none"),
         "F.huber_loss(delta=2.0, reduction='none')"),
    ],
)  # fmt: skip
def test_an_object_is_what_its_written_form_is(thing: Any, written: str) -> None:
    found, wanted = (multiloss.port(source, to="jax") for source in (thing, written))
    assert found.config() == wanted.config()
    assert found.notes == wanted.notes


@pytest.mark.parametrize("to", ["numpy", "torch", "jax", "tensorflow", "keras"])
@pytest.mark.parametrize(
    "written",
    [
        "nn.BCELoss(weight=[[1.0], [2.0]])",
        "nn.BCEWithLogitsLoss(pos_weight=[1.0, 2.0, 3.0])",
        "nn.CrossEntropyLoss(weight=[1.0, 0.0, 2.0], label_smoothing=0.1)",
        "nn.MarginRankingLoss()",
    ],
)
def test_variants_are_json_and_can_be_pickled(written: str, to: str) -> None:
    loss = multiloss.port(written, to=to)
    assert multiloss.get(**json.loads(json.dumps(loss.config()))).config() == loss.config()
    if to != "keras":
        assert pickle.loads(pickle.dumps(loss)).config() == loss.config()


def test_torchs_own_module_of_a_distance_is_understood() -> None:
    module = torch.nn.TripletMarginWithDistanceLoss(distance_function=torch.nn.PairwiseDistance(p=3, eps=0.1))
    assert multiloss.port(module).config() == multiloss.port("nn.TripletMarginLoss(p=3, eps=0.1)").config()


def test_subclasses_are_refused() -> None:
    class Mine(torch.nn.MSELoss):
        pass

    with pytest.raises(ValueError, match="source must be a loss of torch.nn"):
        multiloss.port(Mine())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("MSELoss()", "MSELoss(reduction='sum')"),
        ("HuberLoss()", "SmoothL1Loss(beta=0.5)"),
        ("KLDivLoss()", "KLDivLoss(reduction='batchmean')"),
        ("SoftMarginLoss()", "HingeEmbeddingLoss()"),
    ],
)
def test_a_wrong_row_is_found(theirs: str, ours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = multiloss.port
    monkeypatch.setattr(multiloss, "port", lambda source, **how: port(f"torch.nn.{ours}", **how))
    rng = np.random.default_rng(0)
    arrays = {"y_true": rng.choice([-1.0, 1.0], (4, 3)) if "Soft" in theirs else rng.random((4, 3))}
    with pytest.raises(AssertionError, match="Mismatched elements"):
        check(f"torch.nn.{theirs}", arrays | {"y_pred": -5 * rng.random((4, 3))}, backends=("numpy",))


def test_hooks_are_not_ported() -> None:
    module = torch.nn.MSELoss()
    module.register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.raises(RefusedError, match="MSELoss is not ported with its forward hooks"):
        multiloss.port(module)


def test_weights_are_numbers() -> None:
    with pytest.raises(TypeError, match="weight must be an array of numbers, got b'x'"):
        multiloss.port("nn.BCELoss(weight=b'x')")
