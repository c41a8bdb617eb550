"""Every loss on every backend goes through the property tests of `multiloss.testing.check` (values, gradients, masks,
weights, half precision, empty batches): a few random examples here, many by the command, `multiloss verify`.
"""

import subprocess
import sys

import pytest
from hypothesis import settings

from helpers.calls import NAMES
from multiloss import testing
from multiloss.cli import main

HANDFUL = ("huber", "sparse_categorical_crossentropy", "triplet")  # one of each kind of definition
EXAMPLES = 2 if settings().max_examples <= 30 else 5


@pytest.mark.parametrize("name", NAMES)
def test_properties(backend: str, name: str) -> None:
    testing.check(name, backends=[backend], examples=1 if backend == "jax" else EXAMPLES)  # JAX compiles each


def test_the_command(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *HANDFUL, "--backend", backend, "--examples", "1"]) == 0
    printed = capsys.readouterr().out
    assert [line.split() for line in printed.splitlines()[:4]] == [[backend], *([name, "ok"] for name in HANDFUL)]
    assert printed.splitlines()[-1] == f"{len(HANDFUL)} passed, 0 failed"


@pytest.mark.only("numpy")
def test_without_hypothesis_the_extra_is_named(backend: str) -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from multiloss.cli import main; raise SystemExit(main(['verify', 'huber', '--backend', 'numpy']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "multiloss: error: multiloss.testing needs Hypothesis; run: pip install 'multiloss[testing]'\n"
    )
