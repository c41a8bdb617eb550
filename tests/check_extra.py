"""What one extra installs is enough: `check_extra.py [smoke-]EXTRA`, where that extra and `testing` alone are.

The suite runs where every framework is installed, which hides an undeclared dependency, an import of a framework that
nobody asked for, and the error of a missing one. Run by tox (the `smoke-*` environments); not a pytest module.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from helpers import pages

BROUGHT = {
    "torch": {"torch"},
    "tensorflow-cpu": {"tensorflow", "keras"},  # TensorFlow requires Keras
    "jax": {"jax"},
    "flax": {"jax", "flax", "optax"},  # Flax requires Optax
    "keras": {"keras", "jax"},  # tox installs JAX for Keras to run on
    "autograd": set(),
    "demo": {"jax", "flax", "optax"},
}
"""The frameworks that are there with each extra; everything else must be absent."""
LOSSES = ("huber", "kl_divergence", "sparse_categorical_crossentropy")


def run(*words: str) -> str:
    """What a command prints; it fails where the command does."""
    # Its folder is another one than the checkout, which must not stand in for what is installed.
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def installed(names: set[str]) -> set[str]:
    return {name for name in names if importlib.util.find_spec(name) is not None}


def nothing_else_is_installed(extra: str) -> None:
    assert installed(set(pages.BACKENDS)) == BROUGHT[extra], installed(set(pages.BACKENDS))


def importing_imports_no_framework(extra: str) -> None:
    heavy = sorted({*pages.BACKENDS, "autograd", "sklearn", "matplotlib", "rich", "hypothesis", "array_api_compat"})
    code = f"import multiloss, sys; print([name for name in {heavy} if name in sys.modules])"
    assert run(sys.executable, "-P", "-W", "error", "-c", code).strip() == "[]"


def missing_frameworks_are_named(extra: str) -> None:
    import multiloss

    here = installed(set(multiloss.list_backends()))
    assert multiloss.list_backends() == {name: name in here for name in multiloss.list_backends()}
    for name in set(multiloss.list_backends()) - here:
        told = ""
        try:
            multiloss.get("mse", backend=name)
        except ImportError as error:
            told = str(error)
        assert f"multiloss[{name}" in told, f"{name} is not installed, and multiloss.get said {told!r}"


def the_lines_of_the_readme_run(extra: str) -> None:
    count = 0
    for block in pages.blocks(pages.ROOT / "README.md", "python"):
        if set(block.frameworks) <= BROUGHT[extra]:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile("\n" * block.line + block.text, "README.md", "exec"), {"__name__": "__main__"})
            count += 1
    assert count > 0


def three_losses_are_verified(extra: str) -> None:
    import multiloss

    backends = [name for name, here in multiloss.list_backends().items() if here]
    told = run(str(Path(sys.executable).with_name("multiloss")), "verify", *LOSSES, "--backend", *backends)
    assert told.count("ok") == len(LOSSES) * len(backends), told


def what_the_extra_is_for(extra: str) -> None:
    PURPOSES.get(extra, lambda: None)()


def _flax() -> None:
    import jax.numpy as jnp

    import multiloss.flax

    center = multiloss.flax.CenterLoss(num_classes=2, feature_dim=1)
    assert float(center(jnp.array([0, 1]), jnp.array([[2.0], [4.0]]))) == 5.0  # mean of 2 and 8
    assert center.centers[...].tolist() == [[0.5], [1.0]]  # half of the way, by half: one sample and Eq. 4's 1 + 1


def _keras() -> None:
    import numpy as np

    import multiloss.keras

    center = multiloss.keras.CenterLoss(num_classes=2, feature_dim=1)
    assert float(center(np.array([0, 1]), np.array([[2.0], [4.0]]))) == 5.0
    assert np.asarray(center.centers).tolist() == [[0.5], [1.0]]


def _autograd() -> None:
    import numpy as np

    import multiloss

    ctc = multiloss.get("ctc", backend="numpy")  # has no closed form
    _, gradient = ctc.value_and_grad([[1]], np.zeros((1, 1, 2)))
    assert np.allclose(gradient, [[[0.5, -0.5]]])  # one frame, one path: the softmax, minus 1 at its label


def _demo() -> None:
    command = str(Path(sys.executable).with_name("multiloss"))
    assert "center" in run(command, "demo", "--epochs", "1", "--network", "mlp")
    run(command, "plot", "huber", "mse", "--out", "curves.png")


PURPOSES: dict[str, Callable[[], None]] = {"flax": _flax, "keras": _keras, "autograd": _autograd, "demo": _demo}
CHECKS = (
    nothing_else_is_installed,
    importing_imports_no_framework,
    missing_frameworks_are_named,
    the_lines_of_the_readme_run,
    three_losses_are_verified,
    what_the_extra_is_for,
)

if __name__ == "__main__":
    chosen = sys.argv[1].removeprefix("smoke-")
    for check in CHECKS:
        check(chosen)
        print(f"{chosen}: {check.__name__.replace('_', ' ')}", flush=True)
