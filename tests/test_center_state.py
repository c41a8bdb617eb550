"""The table of a center loss: set by one checked setter, and handed out so that no change of it is lost."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import dtype_name, framework, to_native, to_numpy

FIRST = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [-1.0, 4.0]])
LABELS = np.array([0, 2, 2])
FEATURES = np.array([[3.0, 0.0], [3.0, 0.0], [3.0, 6.0]], np.float32)
VALUE = (2.0 + 4.5 + 4.5) / 3  # |(2, 0)|^2 / 2, |(0, 3)|^2 / 2 twice
MOVED = np.array([[1.5, 0.0], [0.0, 2.0], [3.0, 3.0], [-1.0, 4.0]])  # 1 + 0.5 * 2 / 2; the two of class 2 cancel


def make(backend: str, **options: Any) -> Any:
    return multiloss.get("center", backend=backend, **({"num_classes": 4, "feature_dim": 2} | options))


def batch(backend: str) -> tuple[Any, Any]:
    return to_native(backend, LABELS), to_native(backend, FEATURES)


def same(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(to_numpy(got), expected, rtol=1e-6)


@pytest.mark.parametrize("given", ["native", "numpy", "list", "float16"])
def test_what_is_set_is_copied_into_the_tables_dtype(backend: str, given: str) -> None:
    center = make(backend, centers_init="normal")
    dtype = dtype_name(center.centers)
    source = {
        "native": lambda: to_native(backend, FIRST),
        "numpy": FIRST.copy,
        "list": lambda: FIRST.astype(int).tolist(),
        "float16": lambda: to_native(backend, FIRST, "float16"),
    }[given]()
    center.centers = source
    if given == "numpy":
        source[:] = 7.0
    same(center.centers, FIRST)
    assert dtype_name(center.centers) == dtype
    same(center(*batch(backend)), VALUE)
    same(center.centers, MOVED)
    if backend != "keras":
        center.centers = center.centers
        same(center.centers, MOVED)


@pytest.mark.parametrize("known", [{}, {"num_classes": 4}, {"feature_dim": 2}])
def test_an_array_set_before_the_first_batch_says_what_is_not_known(backend: str, known: dict[str, int]) -> None:
    center = multiloss.get("center", backend=backend, **known)
    center.centers = FIRST
    same(center.centers, FIRST)
    same(center(*batch(backend)), VALUE)
    same(center.centers, MOVED)
    if "num_classes" not in known:
        center.centers = FIRST[:3]
        center(*batch(backend))
        same(center.centers, MOVED[:3])
        center(to_native(backend, np.array([5])), batch(backend)[1][:1])
        assert tuple(center.centers.shape) == (6, 2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((9, 2)), r"shape \(9, 2\), but these are of shape \(4, 2\); center\.resize first"),
        (np.zeros((4, 3)), r"shape \(4, 3\), but these are of shape \(4, 2\)$"),
        (np.zeros((0, 2)), r"shape \(0, 2\), but these are of shape \(4, 2\)"),
        (np.zeros(8), r"real \(classes, features\) array, got float64 of shape \(8,\)"),
        (np.zeros((4, 2), bool), "real .* array, got bool"),
        (np.zeros((4, 2), complex), "real .* array, got complex128"),
        ([["a", "b"]], "real .* array, got <U1"),
        (np.where(np.arange(8).reshape(4, 2) == 5, np.nan, 0), r"not finite in float\d\d: class 2 is \[ 0\. nan\]"),
        (np.where(np.arange(8).reshape(4, 2) == 0, -np.inf, 0), r"not finite in float\d\d: class 0 is"),
    ],
)
def test_what_is_refused_changes_nothing(backend: str, wrong: Any, said: str) -> None:
    center = make(backend, centers_init=FIRST)
    with pytest.raises(ValueError, match=said):
        center.centers = wrong
    same(center.centers, FIRST)
    assert center.config()["num_classes"] == 4


def test_what_the_dtype_cannot_hold_is_refused(backend: str, tmp_path: Path) -> None:
    center = make(backend)
    if "64" in dtype_name(center.centers):  # NumPy, and JAX in these tests
        center = multiloss.get("center", backend=backend)
        center(*batch(backend))
    other = multiloss.get("center", backend="numpy", num_classes=3, feature_dim=2)
    other.centers = np.full((3, 2), 1e300)
    other.save_centers(tmp_path / "large")
    center = multiloss.get("center", backend=backend)
    center(*batch(backend))
    before = to_numpy(center.centers).copy()
    for set_it in (lambda: setattr(center, "centers", np.full((3, 2), 1e300)),
                   lambda: center.load_centers(tmp_path / "large")):  # fmt: skip
        with pytest.raises(ValueError, match="not finite in float32: class 0 is"):
            set_it()
    same(center.centers, before)


def test_a_ring_radius_may_be_nan_and_never_infinite(backend: str) -> None:
    ring = multiloss.get("ring", backend)
    ring.centers = [[np.nan]]
    ring.centers = [[2.0]]
    with pytest.raises(ValueError, match="not finite"):
        ring.centers = [[np.inf]]
    same(ring.centers, [[2.0]])


def test_a_write_into_what_is_handed_out_takes_effect_or_raises(backend: str) -> None:
    center = make(backend, centers_init=FIRST)
    handed = center.centers
    if backend == "torch":
        handed[0] = 0.0  # the table itself
        same(center.centers[0], [0.0, 0.0])
        same(center(*batch(backend)), (4.5 + 4.5 + 4.5) / 3)
        return
    if framework(backend) != "torch":  # which has no read-only tensors; Keras on it gives a copy, as it does elsewhere
        with pytest.raises((ValueError, TypeError), match=r"read-only|immutable|does not support item assignment"):
            handed[0] = 0.0
    center(*batch(backend))
    same(handed, FIRST)  # of the time when it was asked for
    same(center.centers, MOVED)


def test_a_class_set_that_is_refused_leaves_the_options(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    center = make(backend, centers_init=FIRST)
    with monkeypatch.context() as patch:
        patch.setattr(type(center), "_set", lambda *_: (_ for _ in ()).throw(MemoryError))
        for change in (lambda: center.resize(9), lambda: center.select([1, 0, 2])):
            with pytest.raises(MemoryError):
                change()
    assert center.config()["num_classes"] == 4 and center.options.initial is not None
    np.testing.assert_array_equal(center.options.initial, FIRST)
    same(center.centers, FIRST)


@pytest.mark.only("jax")
def test_jax_places_it_where_the_table_is(backend: str) -> None:
    import jax

    center = make(backend)
    center.centers = FIRST
    placed = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    assert center.centers.sharding == placed and isinstance(center.centers, jax.Array)
    with pytest.raises(jax.errors.TracerArrayConversionError):
        jax.jit(lambda x: setattr(center, "centers", x))(center.centers)
    same(center.centers, FIRST)


@pytest.mark.only("jax")
def test_the_flax_variable_stays_the_one_it_is(backend: str) -> None:
    from flax import nnx

    import multiloss.flax

    center = multiloss.flax.CenterLoss(num_classes=4, feature_dim=2)
    variable = center.centers
    center.centers = FIRST
    assert center.centers is variable and center.centers[...].dtype == variable[...].dtype
    same(nnx.jit(lambda center, y, x: center(y, x))(center, LABELS, FEATURES), VALUE)
    same(center.centers[...], MOVED)
    for wrong, said in ((np.zeros((9, 2)), r"\(9, 2\), but .* \(4, 2\)"), (np.full((4, 2), np.nan), "not finite")):
        with pytest.raises(ValueError, match=said):
            center.centers = wrong
    same(center.centers[...], MOVED)
    center.centers = type(variable)(np.zeros((9, 2)))
    with pytest.raises(ValueError, match=r"\(9, 2\), but these are of shape \(4, 2\)"):
        center(LABELS, FEATURES)


@pytest.mark.only("torch")
def test_torch_does_with_the_buffer_what_it_does_with_any(backend: str) -> None:
    import torch

    center, y, x = make(backend), *batch(backend)
    center.centers = torch.nn.Parameter(torch.tensor(FIRST))
    assert not list(center.parameters()) and not center.centers.requires_grad
    assert dict(center.named_buffers())["centers"] is center.centers

    saved = {"centers": torch.tensor(MOVED, dtype=torch.float32)}
    center.load_state_dict(saved, assign=True)
    assert center.centers is saved["centers"]
    bare = make(backend).to("meta")
    bare.load_state_dict({"centers": torch.tensor(FIRST)}, assign=True)
    assert bare.centers.device.type == "cpu" and bare.centers.dtype == torch.float64
    with pytest.raises(RuntimeError, match="size mismatch"):
        center.load_state_dict({"centers": torch.zeros(9, 2)}, assign=True)
    with pytest.raises(ValueError, match=r"\(9, 2\), but"):  # torch assigns nothing any more
        center.centers = torch.zeros(9, 2)

    other = torch.tensor(FIRST, dtype=torch.float32)
    value = torch.func.functional_call(center, {"centers": other}, (y, x))
    same(value, VALUE)
    same(other, MOVED)
    same(center.centers, MOVED)

    replica = center._replicate_for_data_parallel()
    replica.centers = other
    assert replica.centers is other and center.centers is not other

    shared = center.centers
    center.centers = FIRST
    assert center.centers is shared
    same(shared, FIRST)

    double = make(backend).double()
    double.centers = FIRST
    assert double.centers.dtype == torch.float64
    same(double.float().centers, FIRST)
    net = torch.nn.Sequential(center)
    net.load_state_dict({"0.centers": torch.tensor(FIRST)})
    same(center.centers, FIRST)
    sharded = make(backend, sharded=True)
    with pytest.raises(NotImplementedError, match="sharded centers do not change their class set, framework or values"):
        sharded.centers = FIRST
    same(sharded.double().centers, np.zeros((4, 2)))


@pytest.mark.only("torch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.compile itself
def test_torch_compiled(backend: str) -> None:
    import torch

    torch._dynamo.reset()
    center = make(backend)
    run = torch.compile(center, fullgraph=True, backend="aot_eager")
    y, x = batch(backend)
    run(y, x.requires_grad_())
    for _ in range(2):
        center.centers = FIRST
        same(run(y, x), VALUE)
        same(center.centers, MOVED)


@pytest.mark.graph
@pytest.mark.only("tensorflow")
def test_a_traced_function_sees_what_is_set_and_a_checkpoint_holds_it(backend: str, tmp_path: Path) -> None:
    import tensorflow as tf

    center = make(backend)
    step = tf.function(center)
    step(*batch(backend))
    center.centers = tf.Variable(FIRST)
    assert len(center.variables) == 1
    path = tf.train.Checkpoint(center=center).write(str(tmp_path / "checkpoint"))
    assert {name for name, _ in tf.train.list_variables(path)} == {
        "_CHECKPOINTABLE_OBJECT_GRAPH", "center/_table/.ATTRIBUTES/VARIABLE_VALUE"}  # fmt: skip
    same(step(*batch(backend)), VALUE)
    same(center.centers, MOVED)
    with pytest.raises(NotImplementedError, match="symbolic"):
        tf.function(lambda x: setattr(center, "centers", x))(tf.constant(FIRST))
    same(center.centers, MOVED)


@pytest.mark.graph
@pytest.mark.only("keras")
def test_centers_of_a_keras_model_are_set_before_and_after_fit(backend: str) -> None:
    import keras

    import multiloss.keras

    x = keras.Input((2,))
    features = keras.layers.Activation("linear", name="features")(x)
    net = keras.Model(x, keras.layers.Dense(4, kernel_initializer="zeros")(features))
    model = multiloss.keras.WithCenterLoss(net, features="features", num_classes=4, weight=1.0, alpha=0.5)
    model.compile(keras.optimizers.SGD(0.0), loss=multiloss.get("scce", backend="keras", from_logits=True))
    for _ in range(2):
        model.centers = FIRST
        history = model.fit(FEATURES, LABELS, batch_size=3, verbose=0)
        np.testing.assert_allclose(history.history["loss"], np.log(4) + VALUE, rtol=1e-6)
        same(model.centers, MOVED)
    with pytest.raises(ValueError, match=r"\(9, 2\), but these are of shape \(4, 2\)"):
        model.centers = np.zeros((9, 2))
    same(model.centers, MOVED)


def test_centers_are_written(backend: str) -> None:
    """A new identity at its mean, or all from a classifier's rows; what is refused changes nothing."""
    center = multiloss.get("center", backend=backend, num_classes=2, feature_dim=2)
    center.resize(3)
    center.write_centers([[1.0, 2.0]], classes=[2])
    np.testing.assert_array_equal(to_numpy(center.centers), [[0, 0], [0, 0], [1, 2]])
    center.write_centers(to_native(backend, np.array([[5.0, 6.0], [3.0, 4.0]])), classes=[1, 0])
    np.testing.assert_array_equal(to_numpy(center.centers), [[3, 4], [5, 6], [1, 2]])
    for rows, classes, said in (
        ([[1.0, 2.0]], [3], "must name classes of the center loss, in"),
        ([[1.0, 2.0, 3.0]], [0], "a row for each of classes, of shape"),
        ([[1.0, 2.0]], [0, 1], "a row for each of classes, of shape"),
        ([[np.nan, 2.0]], [0], "not finite"),
        (np.ones((2, 2)), None, "the array holds centers of shape"),
    ):
        with pytest.raises(ValueError, match=said):
            center.write_centers(rows, classes=classes)
    np.testing.assert_array_equal(to_numpy(center.centers), [[3, 4], [5, 6], [1, 2]])
    with pytest.raises(TypeError, match="a list of class numbers"):  # a mask of classes
        center.write_centers([[1.0, 2.0], [3.0, 4.0]], classes=to_native(backend, np.array([True, False])))
    center.write_centers(np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(to_numpy(center.centers), [[0, 1], [2, 3], [4, 5]])


@pytest.mark.only("jax")
def test_the_flax_module_has_what_every_center_loss_has(backend: str, tmp_path: Path) -> None:
    import multiloss.flax

    center = multiloss.flax.CenterLoss(num_classes=2, feature_dim=2)
    center.write_centers([[1.0, 2.0], [3.0, 4.0]])
    center.save_centers(tmp_path / "centers")
    center.resize(3)
    np.testing.assert_array_equal(to_numpy(center.centers[...]), [[1, 2], [3, 4], [0, 0]])
    center(np.array([2, 2]), np.ones((2, 2), np.float32))  # the new class moves: half of 2 / 3
    np.testing.assert_allclose(to_numpy(center.centers[...])[2], [1 / 3, 1 / 3], rtol=1e-6)
    center.select([1, 0])
    np.testing.assert_array_equal(to_numpy(center.centers[...]), [[3, 4], [1, 2]])
    center.load_centers(tmp_path / "centers")
    np.testing.assert_array_equal(to_numpy(center.centers[...]), [[1, 2], [3, 4]])
    assert "centers: (2, 2), float" in center.describe()
    same = multiloss.get("center", backend="numpy")
    same.load_centers(tmp_path / "centers")
    np.testing.assert_array_equal(same.centers, [[1, 2], [3, 4]])


@pytest.mark.only("torch")
def test_a_state_dict_of_another_class_count_names_the_way(backend: str) -> None:
    def make(classes: int) -> Any:
        return multiloss.get("center", backend=backend, num_classes=classes, feature_dim=2)

    with pytest.raises(RuntimeError, match=r"load_centers\(path, resize=True\)(.|\n)*size mismatch"):
        make(3).load_state_dict(make(5).state_dict())
