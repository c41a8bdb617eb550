"""`multiloss scan`: the losses of a source file, found through its own imports, and never run."""

from pathlib import Path

import pytest

from multiloss import cli
from multiloss.porting.scan import Use, scan

FILE = """
import torch.nn as nn, optax
from torch.nn import functional as G, MSELoss as Squares
import tensorflow as tf
from keras import losses as L
from flax import linen as F  # not torch's functional

raise SystemExit("this file was run")

loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]), label_smoothing=0.1)
x = G.kl_div(a, b, None, None, "batchmean", log_target=True)
y = G.mse_loss(a, b, reduction=how)
model.compile("adam", loss="mse")
model.compile("adam", loss={"a": L.Huber(delta=2.0), "b": "sparse_categorical_crossentropy"})
z = jax.vmap(optax.l2_loss)(p, t)
s = Squares(reduction="sum")
k = tf.keras.losses.MeanSquaredError(**settings)
n = nn.Linear(3, 4), F.mse_loss(1), something.Huber()
w = nn.AdaptiveLogSoftmaxWithLoss(3, 4, [1])
"""


@pytest.fixture
def uses(tmp_path: Path) -> list[Use]:
    file = tmp_path / "train.py"
    file.write_text(FILE)
    return scan(file, "jax")


def test_what_is_found(uses: list[Use]) -> None:
    """Every loss, by its canonical name, in the order of the file; nothing that only looks like one."""
    assert [use.source for use in uses] == [
        "torch.nn.CrossEntropyLoss",
        "torch.nn.functional.kl_div",
        "torch.nn.functional.mse_loss",
        "keras.losses.MeanSquaredError",
        "keras.losses.Huber",
        "keras.losses.SparseCategoricalCrossentropy",
        "optax.losses.l2_loss",
        "torch.nn.MSELoss",
        "keras.losses.MeanSquaredError",
        "torch.nn.AdaptiveLogSoftmaxWithLoss",
    ]


def test_what_each_becomes(uses: list[Use]) -> None:
    """Code with the arguments that are literals; a note for the others; the reason where there is no port."""
    by_line = {use.line: use for use in uses}
    assert by_line[11].becomes is not None and "log_target=True" in by_line[11].becomes
    assert "reduction='batchmean'" in by_line[11].becomes
    assert by_line[12].becomes == "multiloss.get('mean_squared_error', backend='jax', axis=())"
    assert any("reduction=how is no literal" in note for note in by_line[12].notes)
    assert by_line[15].becomes == "multiloss.get('half_squared_error', backend='jax', reduction='none', axis=())"
    assert by_line[16].becomes == "multiloss.get('mean_squared_error', backend='jax', reduction='sum', axis=())"
    assert "** hands on" in by_line[17].notes[0]
    assert by_line[19].becomes is None and "owns the weights" in by_line[19].notes[0]


def test_star_imports(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("from torch.nn import *\nloss = MSELoss()\n")
    assert [use.source for use in scan(file)] == ["torch.nn.MSELoss"]


USES = {
    "keras": [
        ("m.compile('adam', 'mse', metrics=['mae'])", ["MeanSquaredError"]),
        ("m.compile(loss={'mse': 'mae', 'poisson': None})", ["MeanAbsoluteError"]),
        (
            "m.compile(loss=['mse', ('kld', 'MSLE')])",
            ["MeanSquaredError", "KLDivergence", "MeanSquaredLogarithmicError"],
        ),
        ("m.compile(loss='mse' if flag == 'mae' else 'poisson')", ["MeanSquaredError", "Poisson"]),
        ("m.compile(loss=keras.losses.Huber(name='mse'))", ["Huber"]),
        ("m.compile(loss=mine(kind='mse'))", []),
        ("import tensorflow as tf\ntf.losses.Huber()", ["Huber"]),
        ("import tensorflow as tf\ntf.keras.losses.Huber()", ["Huber"]),
        ("keras.metrics.MeanSquaredError()", []),
    ],
    "torch.nn": [
        ("class Mine(nn.MSELoss):\n    pass", []),
        ("def f(x: nn.MSELoss, *, y: 'int' = nn.L1Loss()) -> list[nn.HuberLoss]: ...", ["L1Loss"]),
        ("loss: nn.MSELoss = nn.L1Loss()", ["L1Loss"]),
        ("losses = {'a': nn.MSELoss, 'b': nn.L1Loss}", ["MSELoss", "L1Loss"]),
        ("f'{nn.MSELoss()(x, y):.3f}'", ["MSELoss"]),
    ],
}


@pytest.mark.parametrize(
    ("text", "wanted"), [(text, [f"{k}.losses.{n}" if k == "keras" else f"{k}.{n}" for n in names])
                         for k, cases in USES.items() for text, names in cases]
)  # fmt: skip
def test_what_is_a_use(text: str, wanted: list[str], tmp_path: Path) -> None:
    """Wherever a loss is made, called or named to be used; not where a string or a type only has its name."""
    file = tmp_path / "a.py"
    file.write_text(f"import keras\nfrom torch import nn\n{text}\n")
    assert [use.source for use in scan(file)] == wanted


def test_starred_arguments(tmp_path: Path) -> None:
    """What stands by its name is read beside them."""
    file = tmp_path / "a.py"
    file.write_text("import torch.nn.functional as F\nF.kl_div(*pair, reduction='batchmean')\n")
    (use,) = scan(file)
    assert use.becomes is not None and "reduction='batchmean'" in use.becomes
    assert use.notes[0].startswith("* hands on")


def test_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback: one line, and status 2."""
    file = tmp_path / "a.py"
    file.write_text("def (:")
    for path, said in ((file, "is no Python source"), (tmp_path / "none.py", "No such file")):
        assert cli.main(["scan", str(path)]) == 2
        error = capsys.readouterr().err
        assert said in error and len(error.splitlines()) == 1
    file.write_text("import optax")
    assert cli.main(["scan", str(file), "--to", "mxnet"]) == 2
    assert "mxnet" in capsys.readouterr().err
    file.write_bytes(b"\xff\xfe\x00")
    assert cli.main(["scan", str(file)]) == 2


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.py"
    file.write_text("import optax\nx = optax.l2_loss(p, t)\n")
    assert cli.main(["scan", str(file), "--to", "torch"]) == 0
    shown = capsys.readouterr().out
    assert f"{file}:2: optax.l2_loss(p, t)" in shown
    assert "multiloss.get('half_squared_error', backend='torch', reduction='none', axis=())" in shown
    file.write_text("import numpy\n")
    assert cli.main(["scan", str(file)]) == 0
    assert "no loss of PyTorch, Keras or Optax" in capsys.readouterr().out


def test_port_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["port", "optax.l2_loss", "--to", "jax"]) == 0
    code, *notes = capsys.readouterr().out.splitlines()
    assert code == "multiloss.get('half_squared_error', backend='jax', reduction='none', axis=())"
    assert any("1/2" in note for note in notes)
    assert cli.main(["port", "optax.l2_loss", "--code"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert cli.main(["port", "optax.l3_loss"]) == 2
    assert "did you mean optax.losses.l2_loss" in capsys.readouterr().err
    assert cli.main(["port", "open('x')"]) == 2
    assert cli.main(["port", "optax.l2_loss", "--to", "mxnet"]) == 2
    assert "mxnet" in capsys.readouterr().err
