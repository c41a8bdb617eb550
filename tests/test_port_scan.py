"""`multiloss scan`: the losses of a source file, found through its own imports, and never run."""

import json
from pathlib import Path
from typing import Any

import pytest

import multiloss
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


def test_losses_are_found_by_canonical_name_in_order(uses: list[Use]) -> None:
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
    by_line = {use.line: use for use in uses}
    assert by_line[11].becomes is not None and "log_target=True" in by_line[11].becomes
    assert "reduction='batchmean'" in by_line[11].becomes
    assert by_line[12].becomes == "multiloss.port(functools.partial(G.mse_loss, reduction=how), to='jax')"
    assert by_line[12].notes[0].startswith("reduction is computed by how, which is not read here")
    assert by_line[15].becomes == "multiloss.get('half_squared_error', backend='jax', reduction='none', axis=())"
    assert by_line[16].becomes == "multiloss.get('mean_squared_error', backend='jax', reduction='sum', axis=())"
    assert by_line[15].notes[0].startswith("named here, not called")
    assert by_line[17].becomes == "multiloss.port(tf.keras.losses.MeanSquaredError(**settings), to='jax')"
    assert "**settings hands on" in by_line[17].notes[0]
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
    file = tmp_path / "a.py"
    file.write_text(f"import keras\nfrom torch import nn\n{text}\n")
    assert [use.source for use in scan(file)] == wanted


CONSTANTS = """
PAD = 80 - 1
TWICE = 2 * PAD
RATE: float = 1 / 9
WEIGHTS = (1 / 9, 2**3)
LIST = [1.0]  # may be appended to
TWO = 3
TWO = 4
COMPUTED = special["<pad>"]
if COMPUTED:
    MAYBE = 1
def f(SHADOW): ...
SHADOW = 2
"""
READ = [  # an option as the file has it, and what it is
    ("ignore_index=PAD", {"ignore_index": 79}),
    ("ignore_index=TWICE", {"ignore_index": 158}),
    ("None, None, -1", {"ignore_index": -1}),
    ("ignore_index=2**3", {"ignore_index": 8}),
    ("ignore_index=7 // 2 - 5 % 3", {"ignore_index": 1}),
    ("label_smoothing=RATE", {"ignore_index": -100, "label_smoothing": 1 / 9}),
    ("label_smoothing=1e-3*2", {"ignore_index": -100, "label_smoothing": 0.002}),
    ("torch.tensor(WEIGHTS)", {"ignore_index": -100, "class_weight": (1 / 9, 8.0)}),
    ("weight=torch.tensor([1/9, 80-1])", {"ignore_index": -100, "class_weight": (1 / 9, 79.0)}),
    ("reduction='sum', ignore_index=+3", {"ignore_index": 3, "reduction": "sum"}),
]
NOT_READ = [
    "special['<pad>']", "TWO", "COMPUTED", "MAYBE", "SHADOW", "10 ** 10 ** 10", "(-8) ** 0.5", "1 / 0", "True + 1",
    "lambda: 3", "config.pad", "f'{PAD}'", "PAD if COMPUTED else 0", "max(1, 2)",
]  # fmt: skip


def uses_of(text: str, tmp_path: Path, to: str | None = None) -> list[Use]:
    file = tmp_path / "a.py"
    file.write_text(f"import functools\nimport torch\nfrom torch import nn\nimport torch.nn.functional as F\n{text}\n")
    return scan(file, to)


@pytest.mark.parametrize(("option", "wanted"), READ)
def test_constants_are_read(option: str, wanted: dict[str, Any], tmp_path: Path) -> None:
    (use,) = uses_of(f"{CONSTANTS}\nnn.CrossEntropyLoss({option})", tmp_path)
    assert use.becomes is not None
    made = eval(use.becomes, {"multiloss": multiloss})
    assert made.config() == multiloss.get("scce", from_logits=True, axis=1, **(
        {"reduction": "weighted_mean"} if "class_weight" in wanted else {}) | wanted).config()  # fmt: skip
    if not any(word in option for word in ("PAD", "TWICE", "RATE", "WEIGHTS")):
        assert multiloss.port(f"torch.nn.CrossEntropyLoss({option})").config() == made.config()


@pytest.mark.parametrize("option", NOT_READ)
def test_what_is_computed_stays_as_the_file_has_it(option: str, tmp_path: Path) -> None:
    text = f"nn.CrossEntropyLoss(reduction='sum', ignore_index={option})\nF.cross_entropy(a, b, None, None, {option})"
    first, second = uses_of(f"{CONSTANTS}\n{text}", tmp_path, "numpy")
    assert first.becomes == f"multiloss.port(nn.CrossEntropyLoss(reduction='sum', ignore_index={option}), to='numpy')"
    assert second.becomes == (
        "multiloss.port(functools.partial(F.cross_entropy, weight=None, size_average=None, "
        f"ignore_index={option}), to='numpy')"
    )
    for use in (first, second):
        assert use.notes[0].startswith(f"ignore_index is computed by {option}, which is not read here")
    if option in ("PAD if COMPUTED else 0", "10 ** 10 ** 10"):
        return
    with pytest.raises(ValueError, match="ignore_index must be a literal, got .*, which is not evaluated"):
        multiloss.port(f"torch.nn.CrossEntropyLoss(ignore_index={option})")


STARRED = [  # as the file has it, and what it becomes
    ("nn.CrossEntropyLoss(**cfg)", "multiloss.port(nn.CrossEntropyLoss(**cfg))"),
    ("nn.CrossEntropyLoss(*cfg)", "multiloss.port(nn.CrossEntropyLoss(*cfg))"),
    ("nn.MSELoss(unheard_of=3)", "multiloss.port(nn.MSELoss(unheard_of=3))"),
    ("nn.MSELoss(None, None, 'sum', 3)", "multiloss.port(nn.MSELoss(None, None, 'sum', 3))"),
    ("F.kl_div(a, b, reduction='sum', **cfg)", "multiloss.port(functools.partial(F.kl_div, reduction='sum', **cfg))"),
    ("F.kl_div(*pair, reduction='batchmean')", None),
    ("F.kl_div(a, target=b, unheard_of=3)", None),
    ("F.kl_div(a, target=b)", "multiloss.get('kl_divergence', epsilon=0.0, log_input=True, axis=())"),
    ("functools.partial(F.mse_loss, reduction='sum')", "multiloss.get('mean_squared_error', reduction='sum', axis=())"),
    ("functools.partial(F.mse_loss, reduction=how)", "multiloss.port(functools.partial(F.mse_loss, reduction=how))"),
    ("functools.partial(nn.MSELoss, 2 > 1)", "multiloss.port(functools.partial(nn.MSELoss, 2 > 1))"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "becomes"), STARRED)
def test_what_hands_arguments_on(text: str, becomes: str | None, tmp_path: Path) -> None:
    (use,) = uses_of(text, tmp_path)
    assert use.becomes == becomes
    if becomes is None:
        assert use.notes[0].startswith("not ported: ")
    elif "port" in becomes:
        assert "which is not read here" in use.notes[0]


@pytest.mark.cross
def test_what_ports_the_loss_itself_runs(tmp_path: Path) -> None:
    """Where what it names is known it is the loss with the option that the file computes."""
    import functools

    import torch

    special, cfg = {"<pad>": 7}, {"ignore_index": 7}
    texts = ("nn.CrossEntropyLoss(ignore_index=special['<pad>'])", "nn.CrossEntropyLoss(**cfg)",
             "F.cross_entropy(a, b, None, ignore_index=special['<pad>'])", "F.cross_entropy(a, b, **cfg)",
             "functools.partial(F.cross_entropy, **cfg)")  # fmt: skip
    known = {"multiloss": multiloss, "functools": functools, "nn": torch.nn, "F": torch.nn.functional}
    for text in texts:
        (use,) = uses_of(text, tmp_path, "numpy")
        assert use.becomes is not None
        made = eval(use.becomes, {**known, "special": special, "cfg": cfg})
        assert (
            made.config() == multiloss.get("scce", backend="numpy", from_logits=True, axis=1, ignore_index=7).config()
        )


def test_bad_files_get_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_notebook(tmp_path: Path) -> None:
    """Lines for IPython are left out, and places are told by cell and line."""
    cells = [
        {"cell_type": "markdown", "source": ["loss = nn.MSELoss()"]},
        {
            "cell_type": "code",
            "source": ["%matplotlib inline\n", "import torch.nn as nn\n", "nn.MSELoss?\n", "!pip install x"],
        },
        {"cell_type": "code", "source": "from tensorflow.keras.losses import mse\nloss = nn.HuberLoss(delta=2.0)"},
        {"cell_type": "code", "source": ["value = mse(t, p)"]},
    ]
    file = tmp_path / "train.ipynb"
    file.write_text(json.dumps({"cells": cells, "nbformat": 4}))
    assert [(use.cell, use.line, use.source) for use in scan(file)] == [
        (2, 2, "torch.nn.HuberLoss"), (3, 1, "keras.losses.mean_squared_error"),
    ]  # fmt: skip
    assert cli.main(["scan", str(file)]) == 0


CELLS = {  # the source of a cell, and the lines of the losses in it
    "a comment that asks": ("l = nn.MSELoss()  # is this right?\nk = nn.L1Loss()", [1, 2]),
    "another language": ("%%bash\nls | wc -l", []),
    "a timed cell": ("%%time\nl = nn.MSELoss()", [2]),
    "what a shell says": ("out = !ls\nl = nn.MSELoss()", [2]),
    "an only line": ("if True:\n    !ls\nl = nn.MSELoss()", [3]),
    "a remainder": ("x = (7\n% 3)\nl = nn.MSELoss()", [3]),
    "help": ("nn.MSELoss?\nl = nn.MSELoss()", [2]),
}


@pytest.mark.parametrize("what", CELLS)
def test_cells_of_notebooks(what: str, tmp_path: Path) -> None:
    source, lines = CELLS[what]
    cells = [{"cell_type": "code", "source": text} for text in ("from torch import nn", source, "l = nn.HuberLoss()")]
    file = tmp_path / "train.ipynb"
    file.write_text(json.dumps({"cells": cells}))
    assert [(use.cell, use.line) for use in scan(file)] == [*((2, line) for line in lines), (3, 1)]


def test_a_cell_that_is_no_python_is_named(tmp_path: Path) -> None:
    file = tmp_path / "train.ipynb"
    file.write_text(json.dumps({"cells": [{"cell_type": "code", "source": text} for text in ("x = 1", "x = (")]}))
    with pytest.raises(ValueError, match="cell 2 is no Python that can be read"):
        scan(file)
