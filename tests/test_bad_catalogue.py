"""One table of bad input over the whole catalogue and all backends: each is refused, with a message that names it."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native
from helpers.calls import NAMES, good
from multiloss.engine import registry
from multiloss.engine.loss import make_spec
from multiloss.testing.strategies import layout_of

Bad = tuple[dict[str, Any], dict[str, Any], type[Exception], str]


def bad(name: str) -> Iterator[tuple[str, Bad]]:
    """What is wrong -> (inputs, keywords, error, pattern)."""
    definition, inputs = registry.find(name), good(name)
    for one in definition.inputs:
        wanted = definition.shapes[one]
        labels = wanted.integer or (definition.integer_targets and one == "y_true")
        if one not in inputs:
            continue
        x = inputs[one]
        yield f"{one} complex", ({**inputs, one: x.astype(complex)}, {}, TypeError, one)
        yield f"{one} of text", ({**inputs, one: np.full(x.shape, "a")}, {}, TypeError, one)
        if labels:
            what = f"{one} must hold integer {'lengths' if one.endswith('lengths') else 'labels'}"
            yield f"{one} real", ({**inputs, one: x.astype(float)}, {}, TypeError, what)
            yield f"{one} boolean", ({**inputs, one: x.astype(bool)}, {}, TypeError, what)
        if wanted.below is not None or (labels and definition.kind != "of_inputs"):
            yield f"{one} out of range", ({**inputs, one: np.full_like(x, 99)}, {}, ValueError, "99")
            yield f"{one} negative", ({**inputs, one: np.full_like(x, -7)}, {}, ValueError, "-7")
        more = np.concatenate([x, x])
        if definition.kind != "of_inputs" or wanted.samples:
            yield (
                f"{one} of twice the samples",
                ({**inputs, one: more}, {}, ValueError, r"must be \(|must have|must hold one label"),
            )
        if definition.kind == "of_inputs":
            yield (
                f"{one} of another rank",
                ({**inputs, one: x[None, None, None]}, {}, ValueError, r"must be \(|must have"),
            )
        if definition.kind == "of_inputs" and one not in definition.optional:
            rest = {key: value for key, value in inputs.items() if key != one}
            yield f"{one} left out", (rest, {}, TypeError, f"{one!r} is missing")
    samples = layout_of(make_spec(name, {}), inputs).samples
    wrong = np.ones(samples[0] + 1)
    yield (
        "weights of another length",
        (inputs, {"sample_weight": wrong}, ValueError, "sample_weight must have the shape"),
    )
    if definition.whole_batch:
        each = {"sample_weight": np.ones(samples)}
        yield "weights of samples", (inputs, each, ValueError, r"must have the shape \(\) of the one value that .* has")
    yield "mask of another length", (inputs, {"mask": wrong > 0}, ValueError, "mask must have the shape")
    yield "mask of numbers", (inputs, {"mask": np.ones(samples)}, TypeError, "mask must be boolean")


CASES = [pytest.param(name, one, id=f"{name}-{what}") for name in NAMES for what, one in bad(name)]


@pytest.mark.reads
@pytest.mark.parametrize(("name", "case"), CASES)
def test_is_refused(backend: str, name: str, case: Bad) -> None:
    inputs, more, error, pattern = case
    loss = multiloss.get(name, backend=backend)
    given = {key: x if x.dtype.kind == "U" else to_native(backend, x) for key, x in {**inputs, **more}.items()}
    with pytest.raises(error, match=pattern):
        loss(**given)


@pytest.mark.parametrize("name", NAMES)
def test_options_that_are_unknown_or_nonsense(backend: str, name: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"{registry.find(name).name} has no option 'colour'")):
        multiloss.get(name, backend=backend, colour=1)
    with pytest.raises(ValueError, match="reduction must be one of 'mean'"):
        multiloss.get(name, backend=backend, reduction="average")
    for option in registry.find(name).options:
        with pytest.raises((TypeError, ValueError), match=option):
            multiloss.get(name, backend=backend, **{option: "nonsense"})


@pytest.mark.parametrize("name", NAMES)
def test_the_good_inputs_of_the_table_are_taken(backend: str, name: str) -> None:
    loss = multiloss.get(name, backend=backend)
    assert np.isfinite(float(loss(**{key: to_native(backend, x) for key, x in good(name).items()})))
