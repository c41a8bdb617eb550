"""`multiloss.port`: written forms are data, what is unknown is named, and everything exported is ported or refused.

That the numbers are the source's is in `test_port_*.py`, against the libraries themselves.
"""

import copy
import functools
import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import multiloss
from helpers import peers
from multiloss import porting
from multiloss.porting import parse, sources

MODULES = {"torch": ("torch.nn", "torch.nn.functional"), "keras": ("keras.losses",) * 2, "optax": ("optax.losses",) * 2}


@pytest.mark.parametrize(
    "form",
    [
        "torch.nn.MSELoss(reduction='sum')",
        "nn.MSELoss(reduction='sum')",
        "torch.nn.modules.loss.MSELoss(None, None, 'sum')",
        "F.mse_loss(reduction='sum')",
        "torch.nn.MSELoss(size_average=False)",
        "tf.keras.losses.MeanSquaredError(reduction='sum')",
    ],
)
def test_all_spellings_are_one_loss(form: str) -> None:
    assert multiloss.port(form, to="numpy")([[1.0, 2.0]], [[2.0, 4.0]]) == (2.5 if "keras" in form else 5.0)


@pytest.mark.parametrize(
    "form",
    [
        "__import__('os').system('true')",
        "torch.nn.MSELoss(reduction=__import__('os'))",
        "torch.nn.MSELoss(**{'reduction': 'sum'})",
        "torch.nn.MSELoss(reduction='su' + 'm')",
        "torch.nn.MSELoss(); 1",
        "[torch.nn.MSELoss()][0]",
        "(lambda: 1)()",
        "torch.nn.MSELoss(reduction=x)",
        "torch.nn.MSELoss(" + "(" * 2000 + ")" * 2000 + ")",
        "",
    ],
)
def test_code_in_a_written_form_is_refused_and_not_run(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.system", lambda command: pytest.fail("ran"))
    with pytest.raises(ValueError, match="literal|dotted name|write each out"):
        multiloss.port(form)


def test_a_call_that_makes_an_array_of_a_literal_is_that_literal() -> None:
    assert parse.parse("f(weight=torch.tensor([1.0, 2.0], dtype=torch.float64))") == ("f", (), {"weight": [1.0, 2.0]})
    with pytest.raises(ValueError, match="weight must be a literal"):
        parse.parse("f(weight=torch.load('x'))")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'nn.MSEloss'; did you mean torch.nn.MSELoss"):
        multiloss.port("nn.MSEloss()")


def test_unknown_arguments_are_named_with_those_that_there_are() -> None:
    with pytest.raises(TypeError, match="MSELoss has no argument 'foo'.*size_average, reduce, reduction"):
        multiloss.port("nn.MSELoss(foo=1)")
    with pytest.raises(TypeError, match=r"leave out the arrays \(y_pred, y_true\)"):
        multiloss.port("F.mse_loss(1, 2)")
    with pytest.raises(ValueError, match="reduction must be"):
        multiloss.port("nn.MSELoss(reduction='max')")
    with pytest.raises(ValueError, match="targets must be 'labels' or 'probabilities', got 'x'"):
        multiloss.port("nn.MSELoss()", targets="x")


@pytest.mark.parametrize("value", ["[]", "{}", "{1, 2}", "b'x'", "1j", "...", "'x'", "[[1], [2, 3]]", "['x']", "1e400"])
def test_whatever_is_given_is_taken_or_refused_by_name(value: str) -> None:
    for name, source in sources().items():
        for argument in () if source.refusal else source.parameters:
            try:
                multiloss.port(f"{name}({argument}={value})")
            except (ValueError, TypeError) as error:
                if "unhashable" in str(error):
                    pytest.fail(f"{name}({argument}={value}): {error}")


def test_an_unknown_place_is_refused_with_those_that_there_are() -> None:
    for to in ("mxnet", ["torch"], 3):
        for function in (multiloss.port, porting.code):
            with pytest.raises(ValueError, match="to must be one of 'numpy', .*'torch.nn'"):
                function("nn.MSELoss()", to=to)
    with pytest.raises(ValueError, match="reduction is given twice"):
        multiloss.port("nn.MSELoss(reduction='sum', reduction='mean')")


def test_what_is_no_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="source must be a loss of torch.nn.*got builtins.dict"):
        multiloss.port({})


@pytest.mark.cross
def test_wrapped_functions() -> None:
    """What `jax.jit` makes of a loss is that loss; what else wraps one may give other numbers."""
    import jax
    import optax
    import torch

    loss = multiloss.port(functools.partial(jax.jit(optax.huber_loss), delta=2.0))
    assert loss.source == "optax.losses.huber_loss(delta=2.0)"

    @functools.wraps(torch.nn.functional.mse_loss)
    def percent(*args: Any, **kwargs: Any) -> Any:
        return 100 * torch.nn.functional.mse_loss(*args, **kwargs)

    for wrapped in (jax.grad(optax.l2_loss), jax.value_and_grad(optax.l2_loss), percent):
        with pytest.raises(ValueError, match="source must be a loss"):
            multiloss.port(wrapped)


def test_no_framework_is_imported() -> None:
    import subprocess

    code = (
        "import sys, multiloss; multiloss.port('nn.MSELoss()', to='numpy'); multiloss.port('keras.losses.Huber()')\n"
        "print([m for m in ('torch', 'keras', 'tensorflow', 'jax', 'optax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_notes_and_source_travel_with_the_loss() -> None:
    loss = multiloss.port("optax.l2_loss")
    assert loss.to_backend("numpy").notes == loss.notes != ()
    assert loss.to_backend("numpy").source == "optax.losses.l2_loss"
    assert functools.partial(loss)([1.0], [2.0]) == 0.5


@pytest.mark.cross
@pytest.mark.parametrize("to", [None, "numpy", "torch", "tensorflow", "jax", "keras"])
def test_every_port_can_be_pickled_copied_and_described_as_data(to: str | None) -> None:
    for name, source in sources().items():
        if source.refusal is None:
            needed = ", ".join(f"{key}=0.5" for key, p in source.parameters.items() if p.default is p.empty)
            loss = multiloss.port(f"{name}({needed})", to=to)
            for other in (pickle.loads(pickle.dumps(loss)), copy.copy(loss), copy.deepcopy(loss)):
                assert (other, other.source, other.notes) == (loss, loss.source, loss.notes), name
            assert multiloss.get(**json.loads(json.dumps(loss.config()))) == loss, name


@pytest.mark.parametrize("library", MODULES)
def test_everything_exported_is_ported_or_refused(library: str) -> None:
    classes, functions = MODULES[library]
    table = {"torch": peers.TORCH, "keras": peers.KERAS, "optax": peers.OPTAX}[library]
    wanted = {f"{classes if name[0].isupper() else functions}.{name}" for name in table}
    assert {name for name in sources() if name.startswith(f"{library}.")} == wanted


@pytest.mark.parametrize("library", MODULES)
def test_each_row_has_a_case(library: str) -> None:
    """What is ported is compared with the library: its name stands in a test that does so."""
    files = [path for path in Path(__file__).parent.glob(f"test_port_{library}*.py") if "notes" not in path.name]
    compared = "".join(path.read_text(encoding="utf-8") for path in files)
    ported = {name for name, source in sources().items() if name.startswith(f"{library}.") and source.refusal is None}
    assert {name for name in ported if name.rpartition(".")[2] not in compared} == set()


CALLS = [
    ("F.cross_entropy(logits, y)", "torch.nn.functional.cross_entropy"),
    ("F.cross_entropy(model(x), y.long(), label_smoothing=0.1)", "F.cross_entropy(label_smoothing=0.1)"),
    ("F.cross_entropy(input=logits, target=y, ignore_index=-1)", "F.cross_entropy(ignore_index=-1)"),
    ("F.kl_div(a[0], b, None, None, 'batchmean')", "F.kl_div(reduction='batchmean')"),
    ("nn.CrossEntropyLoss(reduction='sum')(logits, y)", "nn.CrossEntropyLoss(reduction='sum')"),
    ("F.triplet_margin_loss(a, p, n, margin=2.0)", "F.triplet_margin_loss(margin=2.0)"),
    ("optax.huber_loss(preds, targets, delta=2.0)", "optax.huber_loss(delta=2.0)"),
    ("tf.keras.losses.MSE", "keras.losses.mean_squared_error"),
    ("tensorflow.keras.losses.mape(t, p)", "keras.losses.mean_absolute_percentage_error"),
    ("keras.api.losses.Huber(delta=2.0)", "keras.losses.Huber(delta=2.0)"),
    ("tf.keras.losses.KLD", "keras.losses.kl_divergence"),
    ("tf.keras.losses.BCE", "keras.losses.binary_crossentropy"),
    ("tf_keras.losses.Huber(reduction=tf_keras.losses.Reduction.NONE)", "keras.losses.Huber(reduction='none')"),
    ("tf.keras.losses.Hinge(losses_utils.ReductionV2.AUTO)", "keras.losses.Hinge()"),
    ("tf.keras.losses.Huber(reduction='auto')", "keras.losses.Huber()"),
]


@pytest.mark.parametrize(("form", "plain"), CALLS)
def test_a_call_is_read_as_it_is_written(form: str, plain: str) -> None:
    assert multiloss.port(form) == multiloss.port(plain)


NEAR = {
    "keras.losses.KL()": "keras.losses.KLDivergence",
    "keras.losses.KLDivLoss()": "keras.losses.KLDivergence",
    "torch.nn.KL()": "torch.nn.KLDivLoss",
    "optax.losses.mse(x)": "optax.losses.squared_error",
    "tf.keras.losses.L1()": "keras.losses.MeanAbsoluteError",
    "torch.nn.CE()": "torch.nn.CrossEntropyLoss",
    "keras.losses.SmoothL1()": "torch.nn.SmoothL1Loss",
    "nn.CrosEntropyLoss": "torch.nn.CrossEntropyLoss",
    "nn.Huber": "torch.nn.HuberLoss",
}


@pytest.mark.parametrize(("form", "first"), NEAR.items())
def test_an_unknown_name_leads_to_the_one_that_is_meant(form: str, first: str) -> None:
    """Also by what the loss is called elsewhere; no helpers of the module that look alike."""
    with pytest.raises(ValueError, match=rf"; did you mean {first}[,?]") as error:
        multiloss.port(form)
    assert not {"keras.losses.get", "keras.losses.Loss"} & set(re.split("[ ,?]+", str(error.value)))


def test_a_name_that_is_like_no_loss_gets_no_advice() -> None:
    with pytest.raises(ValueError, match="is called 'keras.losses.Zzz'$"):
        multiloss.port("keras.losses.Zzz")


@pytest.mark.parametrize(
    "form", ["F.huber_loss(x, y, None, delta)", "nn.HuberLoss(delta=d)(x, y)", "F.mse_loss(a=x, b=y, c=z)"]
)
def test_only_arrays_may_be_expressions(form: str) -> None:
    with pytest.raises((ValueError, TypeError), match="must be a literal|has no argument 'c'"):
        multiloss.port(form)
