"""What a wrong call gets, on every backend (contract, section 2): each test reads the message.

Making a loss: `test_bad_options.py`. A framework that is not installed: `test_package.py`. Center loss:
`test_center_input.py`.
"""

from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import framework, jit, to_native, to_numpy, told_by_compiler
from helpers.calls import good as inputs_of
from helpers.errors import says
from reference.cases import fixed
from reference.losses import CLASS_LOSSES, LOSSES, SPARSE

DENSE = tuple(name for name in LOSSES if name != SPARSE)
ELEMENTWISE = tuple(name for name in LOSSES if name not in CLASS_LOSSES)


def call(backend: str, name: str, y_true: Any, y_pred: Any, options: Any = None, **arguments: Any) -> Any:
    native = {key: to_native(backend, value) for key, value in arguments.items()}
    loss = multiloss.get(name, backend=backend, **options or {})
    return loss(to_native(backend, y_true), to_native(backend, y_pred), **native)


def good(name: str) -> tuple[Any, Any]:
    case = fixed(name, "float32")
    y_true = case.y_true if name == SPARSE else case.y_true.astype(np.float32)
    return y_true, case.y_pred.astype(np.float32)


# --- the call: (what is changed, the error, what its message says), for (4,) labels or (4, 3) targets and (4, 3) y_pred

WRONG_ARGUMENTS: dict[str, tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = {
    "weight of another length": ({"sample_weight": np.ones(5)}, ValueError, ("sample_weight", "(4,)", "(5,)")),
    "weight with too many axes": ({"sample_weight": np.ones((4, 3))}, ValueError, ("sample_weight", "(4,)", "(4, 3)")),
    "weight broadcast from the right": ({"sample_weight": np.ones(3)}, ValueError, ("sample_weight", "(4,)", "(3,)")),
    "mask of another length": ({"mask": np.ones(5, bool)}, ValueError, ("mask", "(4,)", "(5,)")),
    "mask with too many axes": ({"mask": np.ones((4, 3), bool)}, ValueError, ("mask", "(4,)", "(4, 3)")),
    "integer mask": ({"mask": np.ones(4, np.int32)}, TypeError, ("mask must be boolean", "int32")),
}


@pytest.mark.parametrize("what", WRONG_ARGUMENTS)
@pytest.mark.parametrize("name", ["mean_squared_error", SPARSE])
def test_weights_and_masks(backend: str, name: str, what: str) -> None:
    arguments, error, parts = WRONG_ARGUMENTS[what]
    y_true, y_pred = good(name)
    with says(error, *parts):
        call(backend, name, y_true, y_pred, **arguments)


@pytest.mark.filterwarnings("ignore:.*absolute value.*")  # of the roots: over axis=() that is what they are
@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("argument", ["sample_weight", "mask"])
def test_weights_for_one_dimension_are_taken_with_an_empty_axis_alone(backend: str, name: str, argument: str) -> None:
    y_true, y_pred = (a[:, 0] for a in good(name))
    given = {argument: np.ones(4, bool if argument == "mask" else np.float32)}
    with says(ValueError, argument, "()", "(4,)", "axis=()"):
        call(backend, name, y_true, y_pred, **given)
    call(backend, name, y_true, y_pred, {"axis": (), "validate": False}, **given)


SHAPES = [((4, 3), (3, 4)), ((4, 3), (4,)), ((1, 3), (4, 3)), ((), (4, 3)), ((4, 1), (4, 3)), ((2, 2, 3), (4, 3))]


@pytest.mark.parametrize(("true", "pred"), SHAPES)
@pytest.mark.parametrize("name", DENSE)
def test_unequal_shapes(backend: str, name: str, true: Any, pred: Any) -> None:
    with says(ValueError, "y_true and y_pred must have equal shapes", str(true), str(pred)):
        call(backend, name, np.full(true, 0.5, np.float32), np.full(pred, 0.5, np.float32))


@pytest.mark.only("numpy", "torch", "tensorflow", "jax")
@pytest.mark.parametrize("name", DENSE)
def test_a_column_against_a_row_is_never_broadcast(backend: str, name: str) -> None:
    row, column = np.full(4, 0.5, np.float32), np.full((4, 1), 0.5, np.float32)
    for true, pred in ((row, column), (column, row)):
        with says(ValueError, "y_true and y_pred", str(true.shape), str(pred.shape), "trailing axis of 1"):
            call(backend, name, true, pred)


def test_label_shapes(backend: str) -> None:
    p = np.full((4, 3), 1 / 3, np.float32)
    with says(ValueError, "one label per sample", "(4,)", "(4, 3)", "categorical_crossentropy"):
        call(backend, SPARSE, np.zeros((4, 3), int), p)
    for shape in ((3,), (4, 2), ()):
        with says(ValueError, "one label per sample, of shape (4,)", str(shape)):
            call(backend, SPARSE, np.zeros(shape, int), p)
    with says(ValueError, "(2, 5)", "axis 1", "(2, 3)"):
        call(backend, SPARSE, np.zeros((2, 3), int), np.full((2, 3, 5), 1 / 3), {"axis": 1})


@pytest.mark.parametrize("name", LOSSES)
def test_an_axis_that_is_not_there(backend: str, name: str) -> None:
    with says(ValueError, "axis 2", "(4, 3)"):
        call(backend, name, *good(name), {"axis": 2})


@pytest.mark.reads
@pytest.mark.parametrize("from_logits", [False, True])
def test_the_first_label_out_of_range_is_named(backend: str, from_logits: bool) -> None:
    p = np.full((4, 3), 1 / 3, np.float32)
    options = {"from_logits": from_logits}
    for labels, first, hint in (
        ([0, 7, 3, -1], 7, ""),
        ([0, 2, 3, 9], 3, ""),
        ([0, -5, 3, 1], -5, ""),
        ([2, -1, 1, 9], -1, "ignore_index=-1"),
        ([2, -100, 1, 9], -100, "ignore_index=-100"),
    ):
        for dtype in (np.int32, np.int64, np.int8):
            with says(ValueError, f"the label {first}", "[0, 3)", hint) as caught:
                call(backend, SPARSE, np.array(labels, dtype), p, options)
            assert ("ignore_index" in str(caught.value)) == bool(hint)
    with says(ValueError, "the label 255", "[0, 3)"):
        call(backend, SPARSE, np.array([0, 1, 255, 2], np.uint8), p, options)
    with says(ValueError, "the label 7"):  # what is ignored or masked is no bad label, the next one is
        call(
            backend,
            SPARSE,
            np.array([-1, 5, 7, 0]),
            p,
            options | {"ignore_index": -1},
            mask=np.array([1, 0, 1, 1], bool),
        )


@pytest.mark.reads
@pytest.mark.parametrize("classes", [3, 3000])
@pytest.mark.parametrize("from_logits", [False, True])
def test_labels_are_read_at_every_call(backend: str, from_logits: bool, classes: int) -> None:
    """By a kernel that checks them itself, too; of few and of many samples."""
    loss = multiloss.get(SPARSE, backend=backend, from_logits=from_logits)
    for samples in (2, 1000 if classes == 3 else 2):
        p = to_native(backend, np.full((samples, classes), 1 / classes, np.float32))
        labels = np.arange(samples) % 2
        for bad in (classes, -1, -100, -(2**63)):  # the last is what casts make of nan
            right, wrong = to_native(backend, labels), to_native(backend, np.append(labels[:-1], bad))
            for call in (loss, lambda *inputs: loss.value_and_grad(*inputs)[0]):
                assert np.isclose(to_numpy(call(right, p)), np.log(classes))
                with says(ValueError, f"the label {bad}"):
                    call(wrong, p)


@pytest.mark.parametrize("name", ["mean_squared_error", SPARSE])
def test_values_that_are_no_real_numbers(backend: str, name: str) -> None:
    y_true, _ = good(name)
    with says(TypeError, "y_pred must hold real numbers", "bool"):
        call(backend, name, y_true, np.ones((4, 3), bool))
    with says(ValueError, "regular nested list"):
        multiloss.get(name, backend=backend)(y_true, [[1.0, 2.0], [3.0]])


@pytest.mark.only("torch", "tensorflow", "jax")
def test_sparse_tensors_are_refused_by_name(backend: str) -> None:
    dense = to_native(backend, np.eye(3, dtype=np.float32))
    if backend == "torch":
        sparse, kind = dense.to_sparse(), "layout torch.sparse_coo"
    elif backend == "tensorflow":
        import tensorflow as tf

        sparse, kind = tf.sparse.from_dense(dense), "SparseTensor"
    else:
        from jax.experimental.sparse import BCOO

        sparse, kind = BCOO.fromdense(dense), "BCOO"
    loss = multiloss.get("mse", backend=backend)
    center = multiloss.get("center", backend=backend, num_classes=3, feature_dim=3)
    for _ in range(2):
        with says(TypeError, "y_pred must be a dense array of numbers", kind):
            loss(dense, sparse)
        with says(TypeError, "y_true must be a dense array of numbers", kind):
            loss.value_and_grad(sparse, dense)
        with says(TypeError, "features must be a dense array of numbers", kind):
            center(to_native(backend, np.arange(3)), sparse)
        loss.value_and_grad(dense, dense)
        center(to_native(backend, np.arange(3)), dense)


@pytest.mark.only("torch")
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own, of what is no stable part of it yet
@pytest.mark.parametrize("packed", ["nested", "jagged", "quantized", "masked"])
def test_packed_tensors(backend: str, packed: str) -> None:
    """Operations on them fail late, behind the checks that processes of a group agree on, or take rows for others."""
    import torch

    dense = torch.ones(2, 2)
    x = {
        "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(2)]),
        "jagged": lambda: torch.nested.nested_tensor([torch.ones(3, 2), torch.ones(5, 2)], layout=torch.jagged),
        "quantized": lambda: torch.quantize_per_tensor(dense, 0.1, 0, torch.quint8),
        "masked": lambda: torch.masked.masked_tensor(dense, torch.ones(2, 2, dtype=torch.bool)),
    }[packed]()
    kind = "layout torch.jagged" if packed == "jagged" else "nested, quantized or masked"
    loss = multiloss.get("mse", backend=backend)
    center = multiloss.get("center", backend=backend, num_classes=2, feature_dim=2)
    for _ in range(2):
        with says(TypeError, "y_pred must be a dense array of numbers", kind):
            loss(dense, x)
        with says(TypeError, "features must be a dense array of numbers", kind):
            center(torch.tensor([0, 1]), x)
        loss(dense, dense)
        center(torch.tensor([0, 1]), dense)


@pytest.mark.parametrize(
    ("name", "wrt"), [(SPARSE, "y_true"), (SPARSE, ("y_pred", "y_true")), ("multilabel_margin", "y_true")]
)
def test_labels_have_no_gradient(backend: str, name: str, wrt: Any) -> None:
    with says(ValueError, name, "integer labels, which have no gradient: wrt must be 'y_pred'"):
        multiloss.get(name, backend=backend).value_and_grad(**inputs_of(name), wrt=wrt)


def test_masked_arrays_are_refused(backend: str) -> None:
    x = np.ones((2, 3), np.float32)
    masked = np.ma.masked_array(x, x > 0)
    for chosen in (backend, None):
        loss = multiloss.get("mse", backend=chosen)
        for name, arguments in (("y_true", (masked, x)), ("y_pred", (x, masked))):
            with says(TypeError, f"{name} is a NumPy masked array", "mask="):
                loss(*arguments)
        with says(TypeError, "sample_weight is a NumPy masked array"):
            loss(x, x, sample_weight=masked[:, 0])
    with says(TypeError, "x is a NumPy masked array"):
        multiloss.softmax(masked)


def test_validate_false_makes_the_sample_of_a_bad_label_nan(backend: str) -> None:
    loss = multiloss.get(SPARSE, backend=backend, validate=False, reduction="none")
    y_true, y_pred = to_native(backend, np.array([0, 9, -1])), to_native(backend, np.full((3, 3), 0.25, np.float32))
    np.testing.assert_array_equal(np.isnan(to_numpy(loss(y_true, y_pred))), [False, True, True])
    value, gradient = loss.value_and_grad(y_true, y_pred)
    np.testing.assert_array_equal(np.isnan(to_numpy(value)), [False, True, True])
    np.testing.assert_array_equal(to_numpy(gradient), [[-4, 0, 0], [0, 0, 0], [0, 0, 0]])


# --- frameworks


@pytest.mark.cross
def test_two_frameworks_are_both_named() -> None:
    values = np.ones(3, np.float32)
    frameworks = ("torch", "tensorflow", "jax")
    for here in frameworks:
        for there in frameworks:
            if here == there:
                continue
            mine, other = to_native(here, values), to_native(there, values)
            for pair in ((mine, other), (other, mine)):
                with says(TypeError, f"{there} tensor", f"a loss for {here}", f"to_backend('{there}')"):
                    multiloss.get("mse", backend=here)(*pair)
                with pytest.raises(TypeError, match="one framework") as caught:
                    multiloss.get("mse")(*pair)
                assert here in str(caught.value) and there in str(caught.value)
            with says(TypeError, f"{there} tensor", "a loss for numpy"):
                multiloss.get("mse", backend="numpy")(values, other)
            for name in ("sample_weight", "mask"):
                with says(TypeError, f"y_true and {name} must be of one framework, got {here} and {there} tensors"):
                    multiloss.get("mse")(mine, mine, **{name: other})
            with says(TypeError, f"p and q must be of one framework, got {here} and {there} tensors"):
                multiloss.info.kl_divergence(mine, other)


@pytest.mark.cross
def test_keras_names_another_framework() -> None:
    other = "torch" if framework("keras") != "torch" else "jax"
    with says(TypeError, f"{other} tensor"):
        multiloss.get("mse", backend="keras")(np.ones(3), to_native(other, np.ones(3, np.float32)))
    import keras

    # A variable is not what tensors of another framework go with.
    with says(TypeError, "one framework", "keras", other):
        multiloss.get("mse")(keras.Variable(np.ones(3)), to_native(other, np.ones(3, np.float32)))


@pytest.mark.graph
def test_shapes_are_refused_while_compiling(backend: str) -> None:
    loss = multiloss.get("mse", backend=backend)
    compiled = jit(backend, lambda a, b: loss(a, b))
    told = r"(?s)equal shapes.*\(3, 4\).*\(4, 3\)"
    with pytest.raises(Exception, match=told_by_compiler(told) if backend == "torch" else told):
        compiled(to_native(backend, np.ones((3, 4), np.float32)), to_native(backend, np.ones((4, 3), np.float32)))
