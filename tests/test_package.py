"""What an installation must do: import no framework, name the extra of a missing one, answer on the command line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import multiloss

FRAMEWORKS = ("torch", "tensorflow", "jax", "keras")
HEAVY = (
    *FRAMEWORKS,
    "jaxlib",
    "flax",
    "optax",
    "autograd",
    "array_api_compat",
    "sklearn",
    "matplotlib",
    "rich",
)

# Makes packages as absent as if they had never been installed; a finder that raises would be something else.
WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without:
    def __init__(self, *names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in self.names else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without(*{names!r})
"""


def run_python(code: str, *, without: tuple[str, ...] = (), **environ: str) -> subprocess.CompletedProcess[str]:
    blocked = WITHOUT.format(names=without) if without else ""
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", blocked + code],
        capture_output=True,
        text=True,
        env=os.environ | environ,
        timeout=120,
    )


def message(code: str, **options: object) -> str:
    wrapped = f"import multiloss\ntry: {code}\nexcept ImportError as error: print(error)\nelse: print('no error')"
    done = run_python(wrapped, **options)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_by(code: str) -> list[str]:
    done = run_python(f"{code}\nimport sys\nprint('loaded:', *[n for n in {HEAVY!r} if n in sys.modules])")
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("loaded:")[2].split()


@pytest.mark.cross  # where all of them are there to be imported
@pytest.mark.parametrize(
    "code",
    [
        "import multiloss",
        "import multiloss; multiloss.list_losses(); multiloss.list_backends()",
        "import multiloss; multiloss.get('huber')",
        "import multiloss.testing",
        "import multiloss\nfrom multiloss.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    ],
    ids=["import", "lists", "get", "testing", "help"],
)
def test_nothing_heavy_is_imported(code):
    assert loaded_by(code) == []


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_missing_framework_is_named_with_its_extra(framework):
    said = message(f"multiloss.get('mse', backend={framework!r})", without=(framework,))
    assert framework in said
    assert re.search(rf"pip install '[^']*multiloss\[{framework}[^']*'|multiloss\[keras,", said), said


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_missing_framework_is_listed_as_not_installed(framework):
    done = run_python(f"import multiloss; print(multiloss.list_backends()[{framework!r}])", without=(framework,))
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.only("keras")
def test_keras_without_a_backend_of_its_own():
    runs_on = os.environ["KERAS_BACKEND"]
    said = message("multiloss.get('mse', backend='keras')", without=(runs_on,), KERAS_BACKEND=runs_on)
    assert f"multiloss[keras,{runs_on}" in said
    assert "KERAS_BACKEND" in said


def test_numpy_needs_no_framework():
    code = "import multiloss\nprint(float(multiloss.get('mse')([0.0, 0.0], [1.0, 3.0])))"
    done = run_python(code, without=FRAMEWORKS)
    assert (done.stdout.strip(), done.returncode) == ("5.0", 0), done.stderr


def test_python_m_multiloss():
    done = subprocess.run([sys.executable, "-P", "-m", "multiloss", "--version"], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == (f"multiloss {multiloss.__version__}", 0)


def test_drawing_without_matplotlib_names_the_extra(tmp_path):
    code = f"from multiloss.cli import main\nsys.exit(main(['plot', 'huber', '--out', {str(tmp_path / 'a.png')!r}]))"
    done = run_python(code, without=("matplotlib",))
    assert done.returncode == 2
    assert re.fullmatch(r"multiloss: error: .*matplotlib.*pip install 'multiloss\[demo\]'\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_the_citation_names_this_version() -> None:
    text = (Path(__file__).parents[1] / "CITATION.cff").read_text()
    assert re.search(r"^version: (.*)$", text, re.MULTILINE).group(1) == multiloss.__version__
