"""Sections 1 and 2 of the contract on every backend: what a loss object is, and what a call means.

Values and gradients of every loss against the reference: `test_losses.py`. Bad input: `test_bad_input.py` and
`test_bad_options.py`.
"""

import copy
import json
import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import multiloss
import reference
from helpers.arrays import dtype_name, framework, to_native, to_numpy
from reference.cases import fixed
from reference.losses import LOSSES, SPARSE

OPTIONS: dict[str, dict[str, Any]] = {
    "huber": {"delta": 2},
    SPARSE: {"class_weight": np.array([1, 2, 0.5]), "ignore_index": np.int64(-1), "from_logits": np.bool_(True)},
    "categorical_crossentropy": {"label_smoothing": np.float32(0.25), "class_weight": (1, 2, 3)},
    "mean_squared_error": {"axis": [0, 1], "reduction": "batchmean", "validate": False},
}
SMOOTH = tuple(name for name in LOSSES if not name.startswith("root_"))  # a root's second derivative is per sample
OTHER = {"numpy": "torch", "torch": "jax", "jax": "tensorflow", "tensorflow": "keras", "keras": "numpy"}


def native(backend: str, name: str, dtype: str = "float32", **options: Any) -> tuple[Any, Any]:
    case = fixed(name, "float32", **options)
    return to_native(backend, case.y_true, None if name == SPARSE else dtype), to_native(backend, case.y_pred, dtype)


def close(got: Any, expected: Any, rtol: float = 2e-6, atol: float = 0.0) -> None:
    np.testing.assert_allclose(to_numpy(got), expected, rtol=rtol, atol=atol)


def same(got: Any, expected: Any) -> None:
    np.testing.assert_array_equal(to_numpy(got), expected)


# --- section 1: what `get` gives


@pytest.mark.parametrize("name", LOSSES)
def test_config_is_json_and_makes_an_equal_loss(backend: str, name: str) -> None:
    loss = multiloss.get(name, backend=backend, **OPTIONS.get(name, {}))
    config = loss.config()
    assert config["name"] == name and config["backend"] == backend
    again = multiloss.get(**json.loads(json.dumps(config)))
    assert again == loss and hash(again) == hash(loss) and again.config() == config
    assert loss != multiloss.get(name, backend=backend, reduction="sum")
    assert repr(loss).startswith(("multiloss.get", "Torch"))
    assert multiloss.get(**multiloss.get(name).config()) == multiloss.get(name)


def test_options_are_compared_by_value(backend: str) -> None:
    def get(name: str, **options: Any) -> Any:
        return multiloss.get(name, backend=backend, **options)

    pairs = [
        (get("huber", delta=1), get("huber", delta=np.float64(1.0))),
        (get("cce", class_weight=[1, 2]), get("categorical_crossentropy", class_weight=np.array([1.0, 2.0]))),
        (get("mse", axis=[0, 1]), get("mean_squared_error", axis=(0, 1))),
        (get("mse", axis=np.array([0, 1])), get("mse", axis=to_native(backend, np.array([0, 1])))),
        (get("mse", axis=np.array(1)), get("mse", axis=to_native(backend, np.array(1)))),
        (get("cce", axis=np.array(1)), get("cce", axis=to_native(backend, np.array(1)))),
        (get("scce", from_logits=np.array(True)), get("scce", from_logits=to_native(backend, np.array(True)))),
        (get("cce", class_weight=to_native(backend, np.array([1.0, 2.0]))), get("cce", class_weight=(1, 2))),
        (get("scce", from_logits=1), get("scce", from_logits=True)),
    ]
    for a, b in pairs:
        assert a == b and hash(a) == hash(b) and len({a, b}) == 1
    assert isinstance(pairs[0][0].config()["delta"], float)
    assert get("mse", axis=np.array([0, 1])).config()["axis"] == [0, 1]
    assert get("huber", delta=1) != get("huber", delta=2)
    assert get("mse") != multiloss.get("mse")


def test_to_backend_none_takes_the_backend_of_the_arrays(backend: str) -> None:
    loss = multiloss.get("huber", backend=backend, delta=2, reduction="sum")
    free = loss.to_backend(None)
    assert free == multiloss.get("huber", delta=2, reduction="sum") and "backend" not in free.config()
    assert free.to_backend(backend) == loss
    t, p = native(backend, "huber")
    same(free(t, p), to_numpy(loss(t, p)))


@pytest.mark.cross
@pytest.mark.parametrize("name", LOSSES)
def test_to_backend(name: str) -> None:
    for here, there in OTHER.items():
        loss = multiloss.get(name, backend=here, **OPTIONS.get(name, {}))
        moved = loss.to_backend(there)
        assert moved == multiloss.get(name, backend=there, **OPTIONS.get(name, {}))
        assert moved.to_backend(here) == loss
        assert moved.config() == loss.config() | {"backend": there}


@pytest.mark.parametrize("name", ["huber", SPARSE])
def test_copies_and_pickles(backend: str, name: str) -> None:
    loss = multiloss.get(name, backend=backend, reduction="sum")
    arrays = native(backend, name)
    value = to_numpy(loss(*arrays))
    for other in (copy.copy(loss), copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert other == loss
        same(other(*arrays), value)
    free = multiloss.get(name, reduction="sum")
    assert pickle.loads(pickle.dumps(free)) == free


def test_a_pickle_of_another_process_is_equal_and_has_the_same_hash(backend: str) -> None:
    code = (
        "import pickle, multiloss; from multiloss.engine.loss import make_spec; "
        "print(pickle.dumps(make_spec('huber', {'delta': 2, 'reduction': 'sum'})).hex())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    spec = pickle.loads(bytes.fromhex(text.stdout.strip()))
    here = multiloss.get("huber", backend=backend, delta=2, reduction="sum").spec
    assert spec == here and len({spec, here}) == 1


def test_what_comes_back_is_native(backend: str) -> None:
    loss = multiloss.get("huber", backend=backend)
    y_true, y_pred = native(backend, "huber")
    value, gradient = loss.value_and_grad(y_true, y_pred)
    for x in (loss(y_true, y_pred), value, *loss.value_and_grad(y_true, y_pred, wrt=("y_true", "y_pred"))[1]):
        assert isinstance(x, np.generic | np.ndarray) if backend == "numpy" else type(x) is type(gradient)
    assert tuple(value.shape) == () and tuple(gradient.shape) == (4, 3)
    kind = framework(backend)
    if kind == "torch":
        import torch

        assert type(value) is torch.Tensor
    elif kind == "jax":
        import jax

        assert isinstance(value, jax.Array)
    elif kind == "tensorflow":
        import tensorflow as tf

        assert isinstance(value, tf.Tensor)
    if backend == "torch":
        assert isinstance(loss, torch.nn.Module) and not list(loss.parameters()) and not loss.state_dict()
    elif backend == "keras":
        import keras

        assert isinstance(loss, keras.losses.Loss)
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert again == loss and keras.losses.get(loss) is loss


@pytest.mark.graph
@pytest.mark.only("jax")
def test_static_under_jit(backend: str) -> None:
    import jax
    import jax.numpy as jnp

    traces = []

    def run(loss: Any, t: Any, p: Any) -> Any:
        traces.append(loss)
        return loss(t, p)

    compiled = jax.jit(run, static_argnums=0)
    t, p = jnp.zeros((2, 3)), jnp.ones((2, 3))
    for delta in (1, 1.0, np.float32(1)):
        close(compiled(multiloss.get("huber", backend="jax", delta=delta), t, p), 0.5)
    assert len(traces) == 1
    loss = multiloss.get("mse", backend="jax")
    same(jax.vmap(loss)(t, 2 * p), [4.0, 4.0])
    same(jax.vmap(jax.grad(loss, argnums=1))(t, p), np.full((2, 3), 2 / 3))
    same(jax.jit(jax.hessian(loss, argnums=1))(t[0], p[0]), np.eye(3) * 2 / 3)


@pytest.mark.parametrize("arrays", ["lists", "numpy"])
@pytest.mark.parametrize("name", ["huber", SPARSE])
def test_lists_and_numpy_arrays_with_a_named_backend(backend: str, name: str, arrays: str) -> None:
    case = fixed(name, "float32")
    y_true, y_pred = case.y_true, case.y_pred.astype(np.float32)
    expected = reference.loss(name, y_true, y_pred, sample_weight=[1, 2, 0, 1], mask=[True, False, True, True])
    given: Any = (y_true, y_pred, np.array([1, 2, 0, 1]), np.array([True, False, True, True]))
    if arrays == "lists":
        given = [x.tolist() for x in given]
    loss = multiloss.get(name, backend=backend)
    close(loss(*given), expected)
    value, gradient = loss.value_and_grad(*given)
    close(value, expected)
    assert isinstance(value, np.generic) or type(value) is type(loss(*native(backend, name)))
    assert tuple(gradient.shape) == (4, 3)
    close(loss(given[0], to_native(backend, y_pred), *given[2:]), expected)
    close(
        multiloss.get(name, backend=backend)(y_true=given[0], y_pred=given[1], sample_weight=given[2], mask=given[3]),
        expected,
    )


def test_views_that_run_backwards(backend: str) -> None:
    loss = multiloss.get("mse", backend=backend)
    for shape in ((3, 2), (1, 2)):
        p = np.arange(6, dtype=np.float32).reshape(3, 2)[: shape[0]]
        w = np.arange(1.0, 1 + len(p))
        expected = reference.loss("mean_squared_error", 2 * p, p, sample_weight=w)
        close(loss(2 * p[::-1], p[::-1], sample_weight=w[::-1]), expected)
    first = np.arange(6.0).reshape(3, 2)[::-1]
    center = multiloss.get("center", backend=backend, num_classes=3, feature_dim=2, centers_init=first)
    first[:] = 9  # what the caller's array becomes is no concern of the loss
    for centers in (center.centers, center.to_backend(backend).centers):
        close(centers, [[4, 5], [2, 3], [0, 1]])


@pytest.mark.only("numpy", "torch", "tensorflow", "jax")
@pytest.mark.parametrize("name", LOSSES)
def test_without_a_backend_it_is_that_of_the_arrays(backend: str, name: str) -> None:
    arrays, plain = native(backend, name), fixed(name, "float32")
    free, named = multiloss.get(name), multiloss.get(name, backend=backend)
    assert type(free(*arrays)) is type(named(*arrays))
    same(free(*arrays), to_numpy(named(*arrays)))
    same(free.value_and_grad(*arrays)[1], to_numpy(named.value_and_grad(*arrays)[1]))
    if name in SMOOTH:
        same(free.grad_and_hess(*arrays)[1], to_numpy(named.grad_and_hess(*arrays)[1]))
    assert isinstance(free(plain.y_true.tolist(), plain.y_pred.tolist()), np.generic | np.ndarray)
    assert free(plain.y_true, arrays[1]).dtype == arrays[1].dtype
    assert "backend" not in free.config()


def test_wrt_takes_a_name_or_a_tuple_of_names(backend: str) -> None:
    loss, arrays = multiloss.get("huber", backend=backend), native(backend, "huber")
    value, by_true = loss.value_and_grad(*arrays, wrt="y_true")
    same(value, to_numpy(loss(*arrays)))
    same(loss.value_and_grad(*arrays, wrt=("y_true",))[1][0], to_numpy(by_true))
    _, pair = loss.value_and_grad(*arrays, wrt=("y_pred", "y_true"))
    assert isinstance(pair, tuple) and len(pair) == 2
    close(pair[0], to_numpy(loss.value_and_grad(*arrays)[1]))
    close(pair[1], to_numpy(by_true))
    for nothing in ("var", (), 1):
        with pytest.raises(ValueError, match="wrt must be among 'y_true', 'y_pred', got"):
            loss.value_and_grad(*arrays, wrt=nothing)


@pytest.mark.only("torch", "keras")
@pytest.mark.parametrize("name", ["huber", SPARSE])
def test_detached_and_no_grad_touched(backend: str, name: str) -> None:
    if framework(backend) != "torch":
        pytest.skip("Keras does not run on torch here")
    y_true, y_pred = native(backend, name)
    leaf = y_pred.detach().clone().requires_grad_()
    loss = multiloss.get(name, backend=backend)
    for given in (leaf, leaf * 1.0):
        value, gradient = loss.value_and_grad(y_true, given)
        assert not value.requires_grad and not gradient.requires_grad
    assert leaf.grad is None and leaf.requires_grad
    loss(y_true, leaf).backward()
    assert leaf.grad is not None


def test_no_second_derivative(backend: str) -> None:
    loss = multiloss.get("rmse", backend=backend)
    with pytest.raises(NotImplementedError, match="root_mean_squared_error has no closed-form"):
        loss.grad_and_hess(*native(backend, "mean_squared_error"))


# --- section 2: dtypes


@pytest.mark.only("numpy")
def test_a_warning_names_the_users_line(backend: str) -> None:
    with pytest.warns(UserWarning, match="absolute value") as found:
        multiloss.get("rmse", backend=backend)(np.ones((3, 1)), np.zeros((3, 1)))
    assert [one.filename for one in found] == [__file__]


@pytest.mark.only("numpy", "torch")
@pytest.mark.filterwarnings("error")
def test_a_derivative_beyond_half_precision_is_infinite(backend: str) -> None:
    loss = multiloss.get("mape", backend=backend)
    t, p = (to_native(backend, np.array([[0.0, 0.0], [0.0, x]]), "float16") for x in (0.0, 1.0))
    assert to_numpy(loss.value_and_grad(t, p)[1]).tolist() == [[0.0, 0.0], [0.0, np.inf]]
    assert not np.isnan(to_numpy(loss.grad_and_hess(t, p)[0])).any()


def test_targets_and_weights_take_the_dtype_of_predictions(backend: str) -> None:
    p = to_native(backend, np.ones((2, 3)), "float32")
    for wide in ("float64", "int64"):
        t, w = to_native(backend, np.zeros((2, 3)), wide), to_native(backend, np.ones(2), wide)
        assert dtype_name(multiloss.get("mse", backend=backend)(t, p, sample_weight=w)) == "float32"


def test_integer_predictions_become_the_default_float(backend: str) -> None:
    default = {"numpy": "float64", "torch": "float32", "tensorflow": "float32", "jax": "float64", "keras": "float32"}
    t, p = to_native(backend, np.array([[1, 2], [3, 4]])), to_native(backend, np.array([[2, 2], [3, 1]]))
    loss = multiloss.get("mse", backend=backend)
    value, gradient = loss.value_and_grad(t, p)
    assert dtype_name(loss(t, p)) == dtype_name(value) == dtype_name(gradient) == default[backend]
    same(value, 2.5)
    same(gradient, [[0.5, 0], [0, -1.5]])


@pytest.mark.parametrize("kind", ["uint8", "int8", "int16", "int32", "int64"])
def test_labels_of_any_integer_dtype_are_widened_before_use(backend: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.1, 0.9, (3, 120)).astype(np.float32)
    labels = np.array([0, 119, 64])
    loss = multiloss.get(SPARSE, backend=backend, reduction="none", ignore_index=-1)
    expected = -np.log(p[[0, 1, 2], labels].astype(np.float64))
    close(loss(to_native(backend, labels, kind), to_native(backend, p)), expected)
