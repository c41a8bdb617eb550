"""All messages about bad input. Each names the argument, what came and what was wanted."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = Sequence[int | None]


@dataclass(frozen=True)
class Domain:
    """The interval that an input must lie in (or the `values` that it must have), and the words of the error."""

    low: float
    high: float
    wanted: str
    hint: str = ""
    open_low: bool = False
    values: tuple[float, ...] = ()


PROBABILITY = Domain(0.0, 1.0, "probabilities in [0, 1]", "these look like logits: pass from_logits=True")
MEMBERSHIP = Domain(0.0, 1.0, "probabilities in [0, 1]")
"""Probabilities that need not sum to 1."""
NON_NEGATIVE = Domain(0.0, np.inf, "values of 0 or above")
POSITIVE = Domain(0.0, np.inf, "values above 0", open_low=True)
LOG_PROBABILITY = Domain(
    -np.inf, 0.0, "log-probabilities (0 or below)", "of logits, log_softmax gives them; of probabilities, log"
)
SIGN = Domain(
    -1.0,
    1.0,
    "the targets -1 and 1",
    '2 * y - 1 makes them of 0 and 1, as does the option labels="01", where a loss has it',
    values=(-1.0, 1.0),
)
BINARY = Domain(0.0, 1.0, "the targets 0 and 1", values=(0.0, 1.0))
LABEL_SETS = Domain(-1.0, np.inf, "class numbers, padded with -1")
"""Integers below the number of classes, which only the call knows."""
ABOVE_MINUS_ONE = Domain(-1.0, np.inf, "values above -1 (log(1 + x) is taken)", open_low=True)


def rounding(dtype: Any) -> float:
    """How far rounding may take probabilities of that dtype, and their sums, off."""
    name = str(dtype)
    return 2.0**-6 if "bfloat16" in name else 2.0**-9 if "float16" in name else 1e-3


def in_domain(
    name: str, values: np.ndarray, domain: Domain, options: Collection[str], dtype: Any, *, always: bool = False
) -> None:
    """Refuse values outside `domain`, given in `dtype`; nan passes, as it shows in the loss. `options`: those that the
    loss has, for a hint. `always`: the check cannot be switched off."""
    if values.size == 0:
        return
    off = "" if always else " (validate=False switches this check off)"
    hint = f"; {domain.hint}" if domain.hint else ""
    if domain.values:
        strange = values[~np.isin(values, domain.values) & (values == values)]
        if strange.size:
            raise ValueError(f"{name} must hold {domain.wanted}, got {strange[0]:g}{hint}{off}")
        return
    low, high = float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))
    slack = 0.0 if domain.open_low else rounding(dtype)
    too_low = low <= domain.low if domain.open_low else low < domain.low - slack
    if too_low or high > domain.high + slack:
        option = "log_input" if name == "y_pred" else "log_target"
        if option in options and high <= 0 and low < 0:
            kind = "log-probabilities" if domain is PROBABILITY else "logarithms"
            hint = f"; these look like {kind}: pass {option}=True"
        elif name != "y_pred" or not ("from_logits" in options or domain is LOG_PROBABILITY):
            hint = ""
        raise ValueError(f"{name} must hold {domain.wanted}, got {low if too_low else high:g}{hint}{off}")


def label_sets(name: str, values: np.ndarray, classes: int | None) -> None:
    """Refuse entries that are neither a class in [0, classes) nor the padding -1."""
    wrong = (values < -1) | (False if classes is None else values >= classes)
    if wrong.any():
        raise ValueError(
            f"{name} holds the label {values[wrong].flat[0]:g}, but must hold class numbers in [0, {classes}), padded "
            f"with -1 (validate=False switches this check off)"
        )


def sums_to_one(name: str, values: np.ndarray, axis: Any, keep: np.ndarray | None, dtype: Any, way_out: str) -> None:
    """Refuse distributions, given in `dtype`, whose sum over `axis` is not 1; `way_out` says how to make it 1."""
    sums = values.sum(axis=axis, dtype=np.float64)
    sums = sums if keep is None else sums[keep]
    off = np.abs(sums - 1)
    if (off > rounding(dtype)).any():  # nan is not
        raise ValueError(
            f"{name} must sum to 1 over axis {axis}, got a sum of {sums.flat[int(np.nanargmax(off))]:g}; {way_out}"
        )


def labels_fit(labels: np.ndarray, classes: int) -> bool:
    """Whether all labels are in [0, classes)."""
    if labels.size == 0:
        return True
    # In one pass: as an unsigned number a negative label is larger than any number of classes.
    unsigned = labels.view(f"u{labels.dtype.itemsize}") if labels.dtype.kind == "i" else labels
    return bool(unsigned.max() < classes)


def labels_in_range(
    labels: np.ndarray,
    classes: int,
    ignore_index: int | None,
    keep: np.ndarray | None,
    name: str = "y_true",
    way_out: str | None = None,
) -> None:
    """Refuse labels outside [0, classes) that are neither ignored nor masked, naming the first one; `way_out` is the
    advice for labels such as -1, if the loss has no `ignore_index`."""
    counted = True if ignore_index is None else labels != ignore_index
    bad = labels[((labels < 0) | (labels >= classes)) & counted & (True if keep is None else keep)]
    if bad.size:
        way_out = f"to leave such samples out pass ignore_index={bad[0]}" if way_out is None else way_out
        hint = f"; {way_out}" if bad[0] in (-1, -100) else ""
        raise ValueError(f"{name} holds the label {bad[0]}, but labels must be in [0, {classes}){hint}")


def lengths_in_range(name: str, lengths: np.ndarray, most: int, of: str, keep: np.ndarray | None) -> None:
    """Refuse lengths outside [0, most] that are not masked, naming the first one; `of` says in words what `most` is."""
    bad = ((lengths < 0) | (lengths > most)) & (True if keep is None else keep)
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        sample = at[0] if len(at) == 1 else at
        raise ValueError(f"{name} must hold lengths in [0, {most}] ({of}), got {lengths[at]} for sample {sample}")


def same(a: Shape, b: Shape) -> bool:
    """Whether two shapes are equal. An unknown length (None) fits any."""
    return len(a) == len(b) and all(x is None or y is None or x == y for x, y in zip(a, b, strict=True))


def equal_shapes(y_true: Shape, y_pred: Shape, of_labels: str | None = None, *, labels: bool = False) -> None:
    """Refuse different shapes: nothing is broadcast silently. `of_labels`: the same loss of integer labels; `labels`:
    whether targets are integers, one for each sample."""
    if same(y_true, y_pred):
        return
    a, b = tuple(y_true), tuple(y_pred)
    hint = "; add or drop the trailing axis of 1: broadcasting them would compare every sample with every other"
    trailing = len(a) != len(b) and (a == (*b, 1) or b == (*a, 1))
    if not trailing:
        hint = "; labels have to be one-hot targets here, of the shape of y_pred" if labels and len(b) > 1 else ""
        hint = f"; for integer labels there is {of_labels}" if of_labels and len(a) < len(b) else hint
    raise ValueError(f"y_true and y_pred must have equal shapes, got {a} and {b}{hint}")


def label_shape(y_true: Shape, y_pred: Shape, axis: int, loss: str) -> None:
    """Refuse labels that do not have the shape of `y_pred` without the class axis."""
    wanted = [n for i, n in enumerate(y_pred) if i != axis % len(y_pred)]
    if same(y_true, wanted):
        return
    places = [i for i in range(len(y_pred)) if same(y_true, [n for j, n in enumerate(y_pred) if j != i])]
    hint = (
        of_soft_targets(loss, axis) if same(y_true, y_pred) else f"; axis={places[0]} has them there" if places else ""
    )
    raise ValueError(
        f"y_true must hold one label per sample, of shape {tuple(wanted)} for y_pred of shape {tuple(y_pred)} "
        f"with the classes on axis {axis}, got shape {tuple(y_true)}{hint}"
    )


def of_soft_targets(loss: str, axis: int) -> str:
    """What to do with one-hot or soft targets, which a loss of labels does not take."""
    if loss.startswith("sparse_"):
        return (
            f"; for one-hot or soft targets there is {loss.removeprefix('sparse_')} (of a ported loss: "
            f"targets='probabilities')"
        )
    return f"; argmax over axis {axis} makes labels of one-hot targets"


def no_classes(axis: int, y_pred: Shape) -> ValueError:
    """The error for predictions of no class."""
    return ValueError(f"y_pred must have at least one class on axis {axis}, got shape {tuple(y_pred)}")


def axis_fits(axis: Any, shape: Shape, name: str) -> None:
    """Refuse an axis that the array `name` does not have."""
    rank = len(shape)
    for item in () if axis is None else axis if isinstance(axis, tuple) else (axis,):
        if not -rank <= item < rank:
            hint = "" if rank else "; axis=() makes each number a value of its own"
            raise ValueError(f"axis {item} does not exist in {name} of shape {tuple(shape)}{hint}")
    if isinstance(axis, tuple) and len({item % rank for item in axis}) != len(axis):
        raise ValueError(f"axis {axis} names an axis of {name} of shape {tuple(shape)} twice")


def weight_shape(name: str, weight: Shape, samples: Shape, y_pred: Shape) -> None:
    """Refuse weights or masks that cannot be broadcast to the per-sample values from the left."""
    if len(weight) <= len(samples) and all(
        a is None or b is None or a == b or a == 1 for a, b in zip(weight, samples[: len(weight)], strict=True)
    ):
        return
    hint = "; a 1-D input is one sample: pass axis=() to make every element a value of its own"
    raise ValueError(
        f"{name} must have the shape of the per-sample values, {tuple(samples)}, or leading axes of it, "
        f"got {tuple(weight)}{hint if not samples and tuple(weight) == tuple(y_pred) else ''}"
    )


def class_weights(weights: tuple[float, ...], classes: int | None, name: str = "class_weight") -> None:
    """Refuse a weight list of another length than the number of classes."""
    if classes is not None and len(weights) != classes:
        raise ValueError(f"{name} must hold one weight per class, {classes}, got {len(weights)}")


def shape_of_input(name: str, wanted: str, shape: Shape, known: Any) -> ValueError:
    """The error for an input of a rank that its loss does not take."""
    where = "".join(f", {letter} = {length}" for letter, length in known.items() if letter != "...")
    return ValueError(f"{name} must have the shape ({wanted}){where}, got {tuple(shape)}")


def lengths_differ(
    name: str, wanted: str, shape: Shape, known: Any, letter: str, other: str, order: Iterable[str]
) -> ValueError:
    """The error for an input whose axes do not fit another's."""
    numbers = [
        str(n) for one in wanted.split() for n in (known.get(one, (one,)) if one == "..." else (known.get(one, one),))
    ]
    told = f"({', '.join(numbers)}{',' if len(numbers) == 1 else ''})"
    return ValueError(
        f"{name} of shape ({wanted}) must be {told}, with {letter} as in {other}, got {tuple(shape)}; the inputs are "
        f"({', '.join(order)})"
    )


def empty_length(name: str, wanted: str, shape: Shape, letter: str) -> ValueError:
    """The error for an axis of length 0 that is not one of samples."""
    return ValueError(f"{name} of shape ({wanted}) must have {letter} of at least 1, got {tuple(shape)}")


def missing_input(loss: str, name: str, names: tuple[str, ...]) -> TypeError:
    """The error for an argument left out."""
    return TypeError(f"{loss} takes ({', '.join(names)}), and {name!r} is missing")


def surplus_input(loss: str, what: str, names: tuple[str, ...]) -> TypeError:
    """The error for a surplus or unknown argument, or one that is given twice."""
    return TypeError(f"{loss} takes ({', '.join(names)}), sample_weight and mask; {what}")


def whole_batch(loss: str, shape: Shape) -> ValueError:
    """The error for weights to a loss that has one value for a batch."""
    return ValueError(
        f"sample_weight must have the shape () of the one value that {loss} has for a batch, got {tuple(shape)}; "
        f"a mask may leave samples out, where it takes one"
    )


def label_dtype(dtype: Any, name: str = "y_true", hint: str = "") -> TypeError:
    """The error for labels (or lengths) that are no integers."""
    what = "lengths" if name.endswith("_lengths") else "labels"
    if not hint and what == "labels" and "keras" in sys.modules:
        hint = "; model.compile of Keras casts labels to floats, but not for a loss that is made with backend='keras'"
    return TypeError(f"{name} must hold integer {what}, got dtype {dtype}{hint}")


def swapped(labels: str, scores: str, kinds: tuple[str, str]) -> str:
    """A hint for an error about labels that are no integers, where what came for the scores are some; `kinds` are the
    kinds of the two dtypes."""
    if kinds[0] != "f" or kinds[1] not in "iu":
        return ""
    return f"; are the two swapped? The order is ({labels}, {scores})"


def mask_dtype(dtype: Any) -> TypeError:
    """The error for a mask that is not boolean."""
    return TypeError(f"mask must be boolean (True keeps), got dtype {dtype}")


def real_dtype(name: str, dtype: Any) -> TypeError:
    """The error for dtypes other than real numbers."""
    return TypeError(f"{name} must hold real numbers, got dtype {dtype}")


def two_frameworks(found: Mapping[str, str]) -> TypeError:
    """The error for tensors of two frameworks in one call: `found` has the first argument of each."""
    (one, first), (other, second) = list(found.items())[:2]
    return TypeError(f"{first} and {second} must be of one framework, got {one} and {other} tensors; convert one first")


def masked_array(name: str) -> TypeError:
    """The error for `numpy.ma`, whose mask has one entry for each element, and where True leaves out."""
    return TypeError(
        f"{name} is a NumPy masked array, whose mask would be lost; give a loss its data, and as mask= which samples "
        f"to keep (True keeps)"
    )


def foreign(name: str, backend: str, framework: str) -> TypeError:
    """The error for an argument of another framework than the loss's."""
    keras = sys.modules.get("keras")
    of_keras = keras is not None and hasattr(keras, "config") and keras.config.backend() == framework
    model = ", loss.to_backend('keras') in a Keras model" if of_keras else ""
    return TypeError(
        f"{name} is a {framework} tensor, but this is a loss for {backend}; loss.to_backend({framework!r}) is the same "
        f"loss there{model}"
    )


def placeholder(name: str) -> TypeError:
    """The error for the symbolic tensors of a functional Keras model."""
    return TypeError(
        f"{name} is a KerasTensor, a placeholder without values; give the loss to model.compile(loss=...), or call it "
        f"in the call() of a layer"
    )


def symbolic(name: str) -> TypeError:
    """The error for what `torch.fx.symbolic_trace` gives a loss without a backend."""
    return TypeError(
        f"{name} is a torch.fx.Proxy, a placeholder without values: torch.fx.symbolic_trace takes losses that are made "
        f"with backend='torch', as modules of the model"
    )


def shape_of_spread(name: str, shape: Shape, other: str, whole: Shape) -> ValueError:
    """The error for an input that may also be one number a row, or one number."""
    return ValueError(
        f"{name} must have the shape of {other}, {tuple(whole)}, or that with 1 for some of its lengths, or hold one "
        f"number for each row, {tuple(whole[:-1])}, or be one number; got {tuple(shape)}"
    )


def fixed_option(name: str, instead: str) -> AttributeError:
    """The error for an option that is assigned."""
    return AttributeError(
        f"{name} is read when the object is made, and assigning it later would change nothing; {instead}"
    )


def not_dense(name: str, kind: str) -> TypeError:
    """The error for sparse and ragged tensors."""
    return TypeError(f"{name} must be a dense array of numbers, got {kind}; convert it first")


def distributed(name: str, placements: Any) -> TypeError:
    """The error for torch's distributed tensors."""
    return TypeError(
        f"{name} must be an ordinary tensor, got a DTensor with placements {placements}: pass {name}.full_tensor() "
        f"for the loss of the whole batch, or {name}.to_local() for that of this process's part"
    )


def two_devices(name: str, device: Any, wanted: Any, other: str = "y_pred") -> ValueError:
    """The error for arguments on two devices."""
    return ValueError(f"{name} is on {device}, but {other} is on {wanted}; move one of them")


def _unlike(length: Any, wanted: Any) -> bool:
    """Whether two lengths differ, where both are known."""
    return type(length) is type(wanted) is int and length != wanted


def returned(definition: Any, found: Any, elements: Shape, samples: Shape) -> None:
    """Refuse what a registered function returns if it is not one value per element, or per sample."""
    wanted, what = (elements, "element of y_pred") if definition.kind == "elementwise" else (samples, "sample")
    values = found[0] if isinstance(found, tuple) else found
    shape = getattr(values, "shape", None)
    if shape is None or len(shape) != len(wanted) or any(map(_unlike, shape, wanted)):
        got = f"a {type(values).__name__}" if shape is None else f"shape {tuple(shape)}"
        raise TypeError(
            f"{definition.name} must return one value per {what}, of shape {tuple(wanted)}, got {got}: leave the mean "
            f"or sum over samples to `reduction`"
        )
