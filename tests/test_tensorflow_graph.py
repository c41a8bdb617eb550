"""TensorFlow without XLA: a loss in a plain `tf.function` is op by op, with TensorFlow's own kernels."""

import functools
import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import multiloss
from helpers.arrays import native_grad
from helpers.arrays import to_numpy as read
from helpers.calls import NAMES, good
from helpers.losses import ALL_OPTIONS, check_gradient, check_value, label, make, native
from multiloss.engine import registry
from multiloss_tensorflow import apart, by_row
from reference.cases import fixed


@pytest.mark.parametrize(("name", "options"), ALL_OPTIONS, ids=[f"{n}-{label(o)}" for n, o in ALL_OPTIONS])
def test_op_by_op(name: str, options: dict[str, Any]) -> None:
    """Value and gradient, with the number of samples known while tracing and not."""
    dtype = "float32"
    case = fixed(name, dtype, **options)
    loss = make("tensorflow", name, dtype, **case.options)
    y_true, y_pred, _ = native("tensorflow", case, dtype)
    open_batch = [tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in (y_true, y_pred)]
    for signature in (None, open_batch):
        graph = tf.function(lambda t, p: loss(t, p), input_signature=signature)
        check_value(name, case, dtype, read(graph(y_true, y_pred)))
        gradient = native_grad("tensorflow", lambda p, graph=graph: graph(y_true, p), y_pred)
        check_gradient(name, case, dtype, gradient)


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_the_same_in_a_graph(name: str) -> None:
    """In each real input: TensorFlow's graphs read not (x <= 0) as x > 0, which loses a nan."""
    loss, inputs = multiloss.get(name, backend="tensorflow", reduction="none"), good(name)
    positions = [key for key, x in inputs.items() if x.dtype.kind == "f" and x.size]
    for key in positions:
        spoiled = inputs[key].copy()
        spoiled.flat[0] = np.nan
        given = {**inputs, key: spoiled}
        arrays = {k: tf.constant(x, tf.float32 if x.dtype.kind == "f" else None) for k, x in given.items()}
        try:
            expected = multiloss.get(name, backend="numpy", reduction="none")(**given)
        except ValueError:
            continue  # refused where it can be read
        got = tf.function(lambda **inputs: loss(**inputs))(**arrays)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected), err_msg=key)


def test_what_tensorflow_keeps_on_the_host_is_no_other_device() -> None:
    cpu, other, gpu = (f"/job:localhost/replica:0/task:0/device:{name}" for name in ("CPU:0", "CPU:1", "GPU:0"))
    assert not apart(cpu, gpu) and not apart(gpu, gpu) and not apart(other, other)
    assert apart(gpu, cpu) and apart(other, cpu) and apart(gpu.replace("0", "1"), gpu)


def test_label_out_of_range_is_nan_here() -> None:
    """A graph cannot read labels: that sample's value is nan, its gradient 0, the others are as ever."""
    loss = make("tensorflow", "sparse_categorical_crossentropy", "float32", from_logits=True, reduction="none")
    z = tf.constant([[3.1, 3.0, 3.0], [0.0, 1.0, 2.0]])
    value = tf.function(loss)(tf.constant([0, 3]), z).numpy()
    assert abs(value[0] - 1.033069) < 1e-6 and np.isnan(value[1])
    gradient = native_grad("tensorflow", lambda p: tf.function(loss)(tf.constant([0, 3]), p), z)
    assert np.all(gradient[1] == 0) and np.all(gradient[0] != 0)


@pytest.mark.parametrize("from_logits", [True, False])
def test_an_infinite_logit_and_a_weight_of_zero(from_logits: bool) -> None:
    """0 times infinity is 0 where a target rules an outcome out, and nan is never hidden."""
    loss = make("tensorflow", "binary_crossentropy", "float32", from_logits=from_logits, reduction="none", axis=(),
                epsilon=0.0)  # fmt: skip
    certain = [np.inf, -np.inf, np.inf, np.nan] if from_logits else [1.0, 0.0, 1.0, np.nan]
    value = tf.function(loss)(tf.constant([1.0, 0.0, 0.0, 0.0]), tf.constant(certain, tf.float32)).numpy()
    np.testing.assert_array_equal(value, [0.0, 0.0, np.inf, np.nan])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_lengths_that_are_not_known_while_tracing(jit_compile: bool) -> None:
    """One sample against four is an error when it runs, too; weights of one are broadcast, as ever."""
    rows, row = tf.TensorSpec([None, 3]), tf.TensorSpec([None])
    none = make("tensorflow", "mean_squared_error", "float32", reduction="none")
    graph = tf.function(
        lambda t, p, w: none(t, p, sample_weight=w), input_signature=[rows, rows, row], jit_compile=jit_compile
    )
    four, one = tf.ones((4, 3)), tf.ones((1, 3))
    np.testing.assert_array_equal(graph(four, 3 * four, tf.fill((1,), 2.0)), [8.0] * 4)
    for t, p, w in ((one, four, tf.ones(4)), (four, one, tf.ones(1)), (one, one, tf.ones(4))):
        with pytest.raises(tf.errors.InvalidArgumentError):
            graph(t, p, w)
    labels = make("tensorflow", "sparse_categorical_crossentropy", "float32", from_logits=True)
    sparse = tf.function(labels, input_signature=[tf.TensorSpec([None], tf.int64), rows], jit_compile=jit_compile)
    assert abs(float(sparse(tf.zeros(4, tf.int64), four)) - np.log(3)) < 1e-6
    with pytest.raises(tf.errors.InvalidArgumentError):
        sparse(tf.zeros(1, tf.int64), four)


@pytest.mark.parametrize("name", ["dice", "generalized_dice", "root_mean_squared_error"])
def test_a_batch_of_unknown_length_as_one_value(name: str) -> None:
    loss = make("tensorflow", name, "float32", axis=None)
    rows = tf.TensorSpec([None, 3])
    graph = tf.function(lambda t, p: loss(t, p), input_signature=[rows, rows])
    t, p = tf.constant([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), tf.constant([[0.5, 0.25, 0.25], [0.25, 0.75, 0.0]])
    np.testing.assert_allclose(graph(t, p), loss(t, p), rtol=1e-6)


OF_INPUTS = [name for name in NAMES if registry.find(name).kind == "of_inputs"]


def unknown(x: Any) -> tf.TensorSpec:
    """A signature without the first length."""
    return tf.TensorSpec([None, *x.shape[1:]], "float32" if x.dtype.kind == "f" else x.dtype)


def as_tensors(inputs: dict[str, Any]) -> dict[str, Any]:
    return {key: tf.constant(x, tf.float32 if x.dtype.kind == "f" else None) for key, x in inputs.items()}


@pytest.mark.parametrize("name", OF_INPUTS)
def test_other_inputs_whose_lengths_are_not_known_while_tracing(name: str) -> None:
    """The value is the one that is known, and nothing is broadcast: each input with one sample alone is an error."""
    loss = multiloss.get(name, "tensorflow")
    inputs = good(name)
    signature = {key: unknown(x) for key, x in inputs.items()}
    graph = tf.function(lambda **given: loss(**given)).get_concrete_function(**signature)
    np.testing.assert_allclose(graph(**as_tensors(inputs)), loss(**as_tensors(inputs)), rtol=1e-5)
    for one, wanted in loss.spec.definition.shapes.items():
        if one in loss.spec.definition.spread:
            continue
        if one in inputs and wanted.samples and len(inputs) > 1:
            with pytest.raises(tf.errors.InvalidArgumentError):
                graph(**as_tensors({**inputs, one: inputs[one][:1]}))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", ["mse", "kl", "gaussian_nll"])
def test_a_length_that_only_one_input_knows(name: str, jit_compile: bool) -> None:
    """TensorFlow's optimiser takes a reshape from (4, None) to (4, 1) for granted."""
    loss, whole, column = multiloss.get(name, "tensorflow"), tf.fill((4, 3), 0.5), tf.fill((4, 1), 0.5)
    for known in (0, 1):
        given: list[Any] = [whole, whole]
        given[known] = column
        signature = [tf.TensorSpec([4, 1 if i == known else None]) for i in (0, 1)]
        graph = tf.function(
            lambda t, p: loss(t, p, *[p] * (len(loss.spec.definition.inputs) - 2)),
            input_signature=signature,
            jit_compile=jit_compile,
        )
        np.testing.assert_allclose(graph(column, column), loss(*[column] * len(loss.spec.definition.inputs)), rtol=1e-6)
        with pytest.raises(tf.errors.InvalidArgumentError):
            graph(*given)


def traced(loss: Any, *signature: Any, jit_compile: bool = False, **named: Any) -> Any:
    """The loss as a graph for arrays of these shapes (None: not known); `named` are further arguments."""
    specs = [tf.TensorSpec(shape, dtype) for shape, dtype in (*signature, *named.values())]
    count = len(signature)
    return tf.function(
        lambda *x: loss(*x[:count], **dict(zip(named, x[count:], strict=True))),
        input_signature=specs,
        jit_compile=jit_compile,
        autograph=False,
    )


REFUSED = (ValueError, tf.errors.InvalidArgumentError)
ROWS = ((None, 3), "float32")


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_weights_and_masks_of_another_length(known: bool, jit_compile: bool) -> None:
    """One counts for all; two for six samples are refused, which XLA would repeat."""
    loss = multiloss.get("mse", "tensorflow", reduction="none")
    t, p = tf.zeros((6, 3)), tf.ones((6, 3))
    for count in (1, 2, 3, 4, 6):
        length = count if known else None
        weights = traced(loss, ROWS, ROWS, jit_compile=jit_compile, sample_weight=((length,), "float32"))
        masked = traced(loss, ROWS, ROWS, jit_compile=jit_compile, mask=((length,), "bool"))
        for call, x in ((weights, tf.fill((count,), 2.0)), (masked, tf.fill((count,), False))):
            if count in (1, 6):
                np.testing.assert_array_equal(
                    call(t, p, x), loss(t, p, **{"sample_weight": x} if call is weights else {"mask": x})
                )
                continue
            with pytest.raises(REFUSED):
                call(t, p, x)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    ("name", "option"),
    [("scce", "class_weight"), ("nll", "class_weight"), ("cce", "class_weight"), ("bce", "pos_weight"),
     ("categorical_focal_crossentropy", "alpha"), ("multi_margin", "class_weight")],
)  # fmt: skip
def test_numbers_for_another_count_of_classes(name: str, option: str, jit_compile: bool) -> None:
    """Neither more nor fewer than the scores have, where only the call tells how many these are."""
    scores = tf.constant([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])
    scores = tf.math.log(scores) if name == "nll" else scores
    target: Any = tf.constant([0, 1, 2]) if registry.find(name).has_labels else tf.eye(3)
    for count in (1, 2, 3, 4):
        loss = multiloss.get_by_name(name, "tensorflow", **{option: [1.0, 2.0, 3.0, 4.0][:count]})
        shapes = [([None] * len(x.shape), x.dtype) for x in (target, scores)]
        call = traced(loss, *shapes, jit_compile=jit_compile)
        if count == 3:
            np.testing.assert_allclose(call(target, scores), loss(target, scores), rtol=1e-6)
            continue
        with pytest.raises(REFUSED):
            call(target, scores)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("class_axis", [-1, 1])
def test_lovasz_softmax_of_images_of_unknown_size(class_axis: int, per_image: bool, jit_compile: bool) -> None:
    rng = np.random.default_rng(0)
    scores = np.moveaxis(rng.dirichlet(np.ones(3), (2, 4, 5)), -1, class_axis).astype("float32")
    labels, loss = (
        rng.integers(0, 3, (2, 4, 5)),
        multiloss.get("lovasz_softmax", "tensorflow", per_image=per_image, class_axis=class_axis),
    )
    call = traced(loss.value_and_grad, ((None,) * 3, "int64"), ((None,) * 4, "float32"), jit_compile=jit_compile)
    for got, wanted in zip(call(labels, scores), loss.value_and_grad(labels, tf.constant(scores)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 1), (1, 3), (1, 1), (3, 2), (2, 3)])
def test_a_variance_for_each_row_of_many_axes(shape: tuple[int, ...]) -> None:
    loss = multiloss.get("gaussian_nll", "tensorflow").value_and_grad
    arrays = [tf.zeros((2, 3, 4)), tf.ones((2, 3, 4)), tf.fill(shape, 0.7)]
    for jit_compile in (False, True):
        call = traced(
            functools.partial(loss, wrt="var"),
            *[((None,) * len(x.shape), x.dtype) for x in arrays],
            jit_compile=jit_compile,
        )
        if shape == (2, 3):
            for got, wanted in zip(call(*arrays), loss(*arrays, wrt="var"), strict=True):
                np.testing.assert_allclose(got, wanted, rtol=1e-6)
            continue
        with pytest.raises(REFUSED):
            call(*arrays)


VARIANCES = [(), (4,), (4, 1), (1, 3), (1, 1), (4, 3), (3,), (2, 3), (2, 1), (4, 2)]


@pytest.mark.parametrize("shape", VARIANCES)
def test_a_variance_whose_lengths_are_not_known(shape: tuple[int, ...]) -> None:
    """Each way of leaving lengths open gives the value and the gradient of NumPy, or an error where that has one; XLA
    compiles every third."""
    rng = np.random.default_rng(0)
    t, p, var = (rng.uniform(0.5, 2, size).astype("float32") for size in ((4, 3), (4, 3), shape))
    loss, exact = (multiloss.get("gaussian_nll", backend) for backend in ("tensorflow", "numpy"))
    some: list[tuple[int | None, ...]] = [(4, 3), (None, 3), (4, None), (None, None)]
    opened = itertools.product(*[(n, None) for n in shape])
    for i, (rows, variances) in enumerate(itertools.product(some, opened)):
        signature = [tf.TensorSpec(rows), tf.TensorSpec(some[-1 - i % 4]), tf.TensorSpec(variances)]
        graph = tf.function(
            lambda t, p, v: loss.value_and_grad(t, p, v, wrt=("y_pred", "var")),
            input_signature=signature,
            jit_compile=i % 3 == 0,
        )
        try:
            wanted = exact.value_and_grad(t, p, var, wrt=("y_pred", "var"))
        except ValueError:
            with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
                graph(t, p, var)
            continue
        value, (by_mean, by_var) = graph(t, p, var)
        np.testing.assert_allclose(value, wanted[0], rtol=1e-5)
        for got, want in zip((by_mean, by_var), wanted[1], strict=True):
            assert got.shape == np.shape(want)
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_weights_and_features_of_other_inputs_whose_lengths_are_not_known(jit_compile: bool) -> None:
    """Also compiled by XLA, which drops assertions; weights and a mask of one are broadcast, as ever."""
    loss = multiloss.get("cosine_embedding", "tensorflow", reduction="none", validate=False)
    row, rows = tf.TensorSpec([None]), tf.TensorSpec([None, None])
    graph = tf.function(
        lambda t, a, b, w, m: loss(t, a, b, sample_weight=w, mask=m),
        input_signature=[row, rows, rows, row, tf.TensorSpec([None], tf.bool)],
        jit_compile=jit_compile,
    )
    t, a, w, m = -tf.ones(4), tf.ones((4, 3)), tf.fill((1,), 2.0), tf.constant([True])
    np.testing.assert_allclose(graph(t, a, a, w, m), [2.0] * 4, rtol=1e-6)
    one, ones, four = t[:1], a[:1], tf.ones(4)
    for wrong in (
        (t, a, a[:, :1], w, m),
        (one, a, a, w, m),
        (t, ones, a, w, m),
        (one, ones, ones, four, m),
        (one, ones, ones, w, four > 0),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError):
            graph(*wrong)


@pytest.mark.parametrize("name", ["vicreg", "barlow_twins", "supervised_contrastive", "triplet", "info_nce", "circle"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_an_empty_batch_that_shows_at_run_time(name: str, jit_compile: bool) -> None:
    loss, rng = multiloss.get(name, backend="tensorflow"), np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(4, 3)), tf.float32)
    of_views = name in ("vicreg", "barlow_twins", "info_nce")
    first = tf.constant(rng.normal(size=(4, 3)), tf.float32) if of_views else tf.constant([0, 0, 1, 1], tf.int64)
    rows = [tf.TensorSpec([None, *a.shape[1:]], a.dtype) for a in (first, x)]
    traced = tf.function(lambda a, b: loss(a, b), input_signature=rows, jit_compile=jit_compile)
    np.testing.assert_allclose(traced(first, x), loss(first, x), rtol=1e-5)
    assert traced(first[:0], x[:0]) == 0


@pytest.mark.parametrize("jit_compile", [False, True])
def test_higher_derivatives_of_a_loop_over_rows(jit_compile: bool) -> None:
    """Of any factor, symmetric or not, once and twice, against differences; XLA's from outside of what it compiled."""
    rng = np.random.default_rng(0)
    x, factor, along = (tf.constant(rng.normal(size=shape)) for shape in ((4, 3), (4, 4), (4, 3)))
    gaps = tf.function(by_row.pair_gaps, jit_compile=jit_compile)

    def slopes(x: tf.Tensor, factor: tf.Tensor, along: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch((x, factor))
            found = gaps(x, factor)
        return tf.concat(tape.gradient(found, (x, factor), output_gradients=along), 1)

    for function, given in ((gaps, [x, factor]), (slopes, [x, factor, along])):
        exact, near = tf.test.compute_gradient(function, given)
        for one, other in zip(exact, near, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-8)
