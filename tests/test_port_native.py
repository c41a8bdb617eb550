"""The way back: the library's own object, whose numbers are those of the loss; and a plain word where there is none."""

import numpy as np
import pytest

import multiloss
from arrays import to_native, to_numpy
from multiloss import porting

pytestmark = pytest.mark.cross
RNG = np.random.default_rng(0)
Y, P = RNG.normal(size=(5, 4)), RNG.normal(size=(5, 4))
LABELS = RNG.integers(0, 4, size=5)
HOT = np.eye(4)[LABELS]
SIGNS = np.sign(Y)
CHANCES = np.exp(Y) / np.exp(Y).sum(-1, keepdims=True)

FORTH = {
    "mean_squared_error": ({}, Y, P, ("torch.nn", "keras.losses", "optax")),
    "mean_absolute_error": ({}, Y, P, ("torch.nn", "keras.losses")),
    "huber": ({"delta": 0.5}, Y, P, ("torch.nn", "keras.losses", "optax")),
    "smooth_l1": ({"beta": 0.5}, Y, P, ("torch.nn",)),
    "half_squared_error": ({"reduction": "sum", "axis": ()}, Y, P, ("optax",)),
    "sparse_categorical_crossentropy": ({"from_logits": True}, LABELS, P, ("torch.nn", "keras.losses", "optax")),
    "categorical_crossentropy": (
        {"from_logits": True, "label_smoothing": 0.1}, HOT, P, ("torch.nn", "keras.losses")),
    "binary_crossentropy": ({"from_logits": True}, (SIGNS + 1) / 2, P, ("torch.nn", "keras.losses", "optax")),
    "kl_divergence": ({"log_input": True, "reduction": "batchmean", "epsilon": 0.0},
                      CHANCES, np.log(CHANCES[::-1]), ("torch.nn",)),
    "multi_margin": ({"margin": 0.5, "power": 2}, LABELS, P, ("torch.nn",)),
    "hinge_embedding": ({"axis": (), "margin": 0.5}, SIGNS, P, ("torch.nn",)),
    "soft_margin": ({"axis": ()}, SIGNS, P, ("torch.nn",)),
    "hinge": ({}, SIGNS, P, ("optax",)),
    "cosine_distance": ({"reduction": "sum"}, Y, P, ("optax",)),
}  # fmt: skip
PAIRS = [(name, library) for name, (*_, libraries) in FORTH.items() for library in libraries]


@pytest.mark.parametrize(("name", "library"), PAIRS)
def test_the_way_back(name: str, library: str) -> None:
    """The native object gives the numbers of the loss, on arrays in its own order."""
    options, y_true, y_pred, _ = FORTH[name]
    wanted = multiloss.get(name, backend="numpy", **options)(y_true, y_pred)
    theirs = multiloss.port(multiloss.get(name, **options), to=library)
    backend = {"torch.nn": "torch", "keras.losses": "tensorflow", "optax": "jax"}[library]
    assert not type(theirs).__module__.startswith("multiloss_")
    arrays = [to_native(backend, x) for x in (y_true, y_pred)]
    found = to_numpy(theirs(*(arrays if library == "keras.losses" else arrays[::-1])))
    # Keras' classes compute in single precision.
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if library == "keras.losses" else 1e-10)


def test_where_there_is_none() -> None:
    """The loss of multiloss in the library's framework, which says so."""
    loss = multiloss.port(multiloss.get("tweedie", power=1.2), to="torch.nn")
    assert loss.backend == "torch" and loss.config()["power"] == 1.2
    assert loss.notes[0].startswith("torch.nn has no loss with these numbers")
    code, notes = porting.code(multiloss.get("quantile", q=0.9), to="keras.losses")
    assert code == "multiloss.get('quantile', backend='keras', q=0.9)" and notes[0].startswith("keras.losses has no")


@pytest.mark.parametrize("name", sorted(porting.sources()))
def test_there_and_back(name: str) -> None:
    """A port goes back to what it was made of."""
    source = porting.sources()[name]
    if source.refusal is not None:
        with pytest.raises(porting.RefusedError):
            multiloss.port(name)
        return
    library = name.rpartition(".")[0]
    needed = ", ".join(f"{key}=0.5" for key, p in source.parameters.items() if p.default is p.empty)
    ours = multiloss.port(f"{name}({needed})")
    code, _ = porting.code(ours, to="torch.nn" if library.startswith("torch") else library)
    assert name.replace("optax.losses", "optax") in code or library == "torch.nn.functional"
    assert "multiloss" not in code, code


def test_across_libraries() -> None:
    """From one library to another in one line."""
    assert porting.code("keras.losses.Huber(delta=2.0)", to="torch.nn")[0] == "torch.nn.HuberLoss(delta=2.0)"
    code, _ = porting.code("torch.nn.MSELoss(reduction='none')", to="optax")
    assert code == "lambda y_pred, y_true: optax.squared_error(y_pred, y_true)"
