"""What help, completion and notebooks tell of an object: the page of its loss, with this object's options."""

from __future__ import annotations

import base64
import copy
import html
import inspect
import pickle
import pydoc
import re
import sys
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import multiloss
from multiloss.engine import learned_weight as owners
from multiloss.engine import loss as losses
from multiloss.engine import objects, registry

FAMILY = sorted(set(registry.CENTER.values()))


def told(thing: Any) -> str:
    """What `help(thing)` prints."""
    text = pydoc.render_doc(thing, renderer=pydoc.plaintext)
    assert re.sub(r"\s+", " ", inspect.getdoc(thing) or "") in re.sub(r"\s+", " ", text)
    return text


def with_weight(backend: str, name: str = "arcface", **options: Any) -> Any:
    if backend == "torch":
        import multiloss.torch as module
    elif backend == "keras":
        import multiloss.keras as module
    else:
        from flax import nnx

        import multiloss.flax as module

        options["rngs"] = nnx.Rngs(0)
    return module.WithWeight(name, 3, 2, **options)


# --- help


def test_help_is_of_the_loss_and_of_this_object(backend: str) -> None:
    for loss in (multiloss.get("huber", backend, delta=2.5), multiloss.get("huber", delta=2.5)):
        text = told(loss)
        for part in ("huber = multiloss.get(", "quadratic near zero", "½ e²", "predictions p", "delta = 2.5",
                     "the error at which the parabola", "validate = None", "Source: Huber 1964", "Example:",
                     "called as loss(y_true, y_pred, sample_weight=None, mask=None", "value_and_grad"):  # fmt: skip
            assert part in text, part
        assert list(inspect.signature(loss).parameters) == [
            *("y_true", "y_pred", "sample_weight", "mask"),
            *(["delta"] if loss.backend == "jax" else []),  # which is taken at a call, too
        ]
        assert "delta = " not in (inspect.getdoc(type(loss)) or "")
    assert "delta = 1.0" in told(multiloss.get("huber", backend))  # another object, another page


@pytest.mark.parametrize("name", multiloss.list_losses())
def test_help_explains_each_option_and_input(name: str) -> None:
    loss = multiloss.get(name, "numpy")
    text = " ".join(told(loss).split())
    page = loss._page()
    for option, value in page.options.items():
        assert f" {option} = {value!r} " in text and page.meaning(option), option
    assert all(page.meaning(name) for name in page.inputs if name != "training")
    assert ".. math::" not in text and "\\frac" not in text


def test_help_of_a_port_has_its_source_and_notes(backend: str) -> None:
    text = " ".join(told(multiloss.port("torch.nn.KLDivLoss(reduction='batchmean')", to=backend)).split())
    assert "It gives the numbers of torch.nn.KLDivLoss(reduction='batchmean'): - torch takes (input, target)" in text
    assert "reduction = 'batchmean'" in text


def test_help_of_a_center_loss(backend: str) -> None:
    center = multiloss.get("center", backend, num_classes=3, feature_dim=2, alpha=0.25)
    text = told(center)
    for part in ("alpha = 0.25", "the step size of the centers", "num_classes = 3", "features: x",
                 "center.config()['update']", "resize",
                 "called as center(labels, features, sample_weight=None, mask=None"):  # fmt: skip
        assert part in text, part
    center.resize(4)
    assert "num_classes = 4" in told(center) and center.num_classes == 4
    assert ("axis_name" in text) == (backend == "jax") and ("sharded" in text) == (backend == "torch")


@pytest.mark.only("torch", "keras", "jax")
def test_help_of_a_module_that_owns_a_weight(backend: str) -> None:
    loss = with_weight(backend, scale=30.0)
    text = told(loss)
    for part in ("softmax of scaled cosines", "scale = 30.0", "num_classes = 3", "labels: integer classes",
                 "called as loss(labels, features, sample_weight=None, mask=None"):  # fmt: skip
        assert part in text, part
    made = told(sys.modules[{"jax": "multiloss.flax"}.get(backend, f"multiloss.{backend}")].ArcFace)
    for part in ("softmax of scaled cosines", "scale = 64.0: s; positive", "Args:", "num_classes: C"):
        assert part in made, part


def test_help_of_an_objective() -> None:
    text = told(multiloss.objective("huber", "lightgbm", delta=2.5))
    for part in ("½ e²", "delta = 2.5", "hessian = 'bound'", "whose booster calls this"):
        assert part in text, part


@pytest.mark.usefixtures("own_registry")
def test_help_of_a_loss_without_a_docstring() -> None:
    @multiloss.register("own")
    def own(xp, y_true, y_pred, *, power=2):  # type: ignore[no-untyped-def]
        return abs(y_pred - y_true) ** power

    text = told(multiloss.get("own", "numpy", power=3))
    assert "power = 3" in text and "own" in text


# --- options are attributes


@pytest.mark.parametrize("name", multiloss.list_losses())
def test_options_are_read_as_attributes_and_completed(backend: str, name: str) -> None:
    loss = multiloss.get(name, backend)
    theirs = {"update", *(["reduction"] if backend == "keras" and name not in FAMILY else [])}
    for option, value in loss.config().items():
        if option not in {"name", "backend", *theirs}:
            own = getattr(loss, option)
            assert own == (tuple(value) if isinstance(value, list) else value) and option in dir(loss)
    assert callable(loss.update) if name in FAMILY else not hasattr(loss, "update")
    for other in ("delta", "margin", "temperature"):
        if other not in loss.config():
            assert not hasattr(loss, other) and other not in dir(loss)


def test_copies_have_them_too(backend: str) -> None:
    for loss in (multiloss.get("cce", backend, class_weight=[1.0, 2.0]), multiloss.get("cce", class_weight=[1.0, 2.0])):
        for one in (copy.copy(loss), copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
            assert one == loss and one.class_weight == (1.0, 2.0) and told(one) == told(loss)


@pytest.mark.only("torch", "keras", "jax")
@pytest.mark.parametrize("name", owners.names())
def test_modules_that_own_a_weight_have_them(backend: str, name: str) -> None:
    loss = with_weight(backend, name)
    options = registry.find(name).options
    read = {"loss": name, "num_classes": 3, "feature_dim": 2, **options}
    assert {option: getattr(loss, option) for option in read} == read and {*read} <= {*dir(loss)}
    assert not hasattr(loss, "delta") and "delta" not in dir(loss)


@pytest.mark.only("torch")
@pytest.mark.usefixtures("own_registry")
def test_what_the_framework_calls_by_that_name_stays(backend: str) -> None:
    @multiloss.register("own")
    def own(xp, y_true, y_pred, *, training=3, to_backend=4, other=5):  # type: ignore[no-untyped-def]
        return abs(y_pred - y_true) * training

    loss = multiloss.get("own", backend)
    assert loss.training is True and callable(loss.to_backend) and loss.other == 5
    text = told(loss)
    assert "loss.config()['training'] reads it" in text and "loss.config()['other']" not in text
    loss.eval()
    assert loss.training is False and loss.config()["training"] == 3


@pytest.mark.only("keras")
def test_reduction_is_that_of_keras(backend: str) -> None:
    loss = multiloss.get("huber", backend)
    assert (loss.reduction, loss.config()["reduction"]) == ("sum_over_batch_size", "mean")
    assert "loss.config()['reduction'] reads it" in told(loss)
    assert loss.name == "huber" and loss.dtype == multiloss.get("mse", backend).dtype


@pytest.mark.only("jax")
def test_flax_centers(backend: str) -> None:
    import multiloss.flax

    center = multiloss.flax.CenterLoss(num_classes=2, feature_dim=1, alpha=0.25)
    assert (center.alpha, center.num_classes) == (0.25, 2) and "alpha = 0.25" in told(center)
    assert "alpha" in dir(center) and "margin" not in dir(center)


def test_no_name_of_ours_is_one_of_the_frameworks(backend: str) -> None:
    """Such as `_called` of Keras' layers, which they set themselves."""
    ours = {n for kind in (objects.FixedOptions, losses.LossObject, owners.FixedSize) for n in vars(kind)}
    ours = {name for name in ours if name.startswith("_") and not name.startswith("__")} - {"_repr_html_"}
    assert {"_options", "_page", "_help_name"} <= ours
    bases: list[Any] = []
    if backend == "torch":
        import torch

        bases = [torch.nn.Linear(1, 1)]
    elif backend == "tensorflow":
        import tensorflow as tf

        bases = [tf.Module()]
    elif backend == "jax":
        from flax import nnx

        bases = [nnx.Linear(1, 1, rngs=nnx.Rngs(0))]
    elif backend == "keras":
        import keras

        dense = keras.layers.Dense(1)
        bases = [dense, keras.Sequential([keras.Input((1,)), dense]), keras.losses.MeanSquaredError()]
    for base in bases:
        assert not ours & {*dir(base), *vars(base)}


# --- repr


def test_long_options_are_shown_short(backend: str) -> None:
    for of in (backend, None):
        loss = multiloss.get("cce", of, class_weight=np.ones(1000))
        assert "class_weight=[1.0, 1.0, ..., 1.0; 1000 numbers]" in repr(loss) and len(repr(loss)) < 300
        assert "class_weight = (1.0, 1.0, ..., 1.0; 1000 numbers)" in told(loss)
        assert len(loss.class_weight) == 1000
    few = multiloss.get("cce", backend, class_weight=[1.0] * 8)
    assert eval(repr(few), {"multiloss": multiloss}) == few


# --- notebooks


class Checked(HTMLParser):
    """Whether each element is closed, and which there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def shown(thing: Any) -> str:
    text: str = thing._repr_html_()
    seen = Checked(text).seen
    assert "table" in seen and "script" not in seen
    return text


def svg(text: str) -> str:
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', text)
    return base64.b64decode(data).decode()


def test_notebooks_show_formula_options_and_curve() -> None:
    pytest.importorskip(
        "matplotlib", reason="the curve is drawn by matplotlib, of the extra demo, which is not installed"
    )
    one, other = (multiloss.get("huber", "numpy", delta=delta) for delta in (2.5, 1.0))
    text = shown(one)
    assert "delta = 2.5" in text and ("<math" in text or "$$\\tfrac12 e^2" in text)
    assert "y_pred - y_true" in svg(text) and svg(text) != svg(shown(other)) and shown(one) == text
    port = multiloss.port("torch.nn.HuberLoss(delta=2.5)", to="numpy")
    assert "torch.nn.HuberLoss(delta=2.5)" in shown(port) and "<li>" in shown(port)
    assert "against the gradient" in svg(shown(multiloss.get("supervised_contrastive")))
    many = shown(multiloss.get("cce", "numpy", class_weight=[1.0] * 1000))
    assert "The picture is without class_weight" in many and "curve" not in svg(many)


@pytest.mark.parametrize("name", multiloss.list_losses())
def test_without_packages_notebooks_show_the_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    loss = multiloss.get(name, "numpy")
    text = shown(loss)
    assert "$$" in text and "No picture: " in text and "<img" not in text
    for option, value in loss._page().options.items():
        assert html.escape(f"{option} = {value!r}") in text


@pytest.mark.usefixtures("own_registry")
def test_what_a_user_writes_is_escaped_and_does_no_harm() -> None:
    @multiloss.register("own")
    def own(xp, y_true, y_pred, *, tag="<b>"):  # type: ignore[no-untyped-def]
        """<script>alert(1)</script> & `<i>`.

        .. math:: a < b & \\unknown{
        """
        raise RuntimeError("<u>never</u>")

    text = shown(multiloss.get("own", "numpy", tag="</div>"))
    assert "&lt;script&gt;" in text and "<code>&lt;i&gt;</code>" in text and "&lt;/div&gt;" in text
    assert "No picture: &lt;u&gt;never&lt;/u&gt;" in text

    class Broken(multiloss.get("own", "numpy").__class__):  # type: ignore[misc]
        def _options(self) -> Any:
            raise RuntimeError

    loss = Broken.__new__(Broken)
    loss.__dict__["spec"] = multiloss.get("own").spec
    assert loss._repr_html_() is None


def test_objects_of_frameworks_are_shown(backend: str) -> None:
    for thing in (multiloss.get("huber", backend), multiloss.get("ring", backend)):
        assert type(thing).__name__ in shown(thing)
    if backend in ("torch", "keras", "jax"):
        assert "scaled cosines" in shown(with_weight(backend))
