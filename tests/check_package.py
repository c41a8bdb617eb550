"""The built wheel and sdist, each in a fresh environment without any framework: `check_package.py FOLDER`.

FOLDER/dist holds one of each. Run by tox; not a pytest module.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

PACKAGES = {
    "multiloss",
    "multiloss_numpy",
    "multiloss_torch",
    "multiloss_tensorflow",
    "multiloss_jax",
    "multiloss_keras",
}
FRAMEWORKS = ("torch", "tensorflow", "jax", "keras")
PROBE = f"""
import sys
import multiloss
loaded = [name for name in {FRAMEWORKS!r} if name in sys.modules]
assert not loaded, loaded
assert multiloss.list_backends() == dict(numpy=True, torch=False, tensorflow=False, jax=False, keras=False)
assert float(multiloss.get("mse")([1.0, 2.0], [1.0, 4.0])) == 2.0
for name in {FRAMEWORKS!r}:
    try:
        multiloss.get("mse", backend=name)
    except ImportError as error:
        assert f"multiloss[{{name}}" in str(error), error
    else:
        raise AssertionError(name)
"""


def one(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    assert len(found) == 1, f"{folder} has {len(found)} files {pattern}"
    return found[0]


def check_contents(wheel: Path, sdist: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES, top
    missing = [package for package in PACKAGES if f"{package}/py.typed" not in names]
    assert not missing, f"no py.typed in {missing}"
    assert any(name.endswith("licenses/LICENSE") for name in names), "no LICENSE in the wheel"
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CITATION.cff",
        "tox.ini",
        "requirements/constraints.txt",
        "tests/conftest.py",
    }
    assert wanted <= inside, f"not in the sdist: {wanted - inside}"


def check_installed(file: Path, home: Path) -> None:
    venv.create(home, with_pip=True)
    scripts = home / ("Scripts" if sys.platform == "win32" else "bin")
    constraints = Path(__file__).parents[1] / "requirements" / "constraints.txt"
    subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", "-c", constraints, file], check=True)
    subprocess.run([scripts / "python", "-P", "-W", "error", "-c", PROBE], check=True, cwd=home)
    subprocess.run([scripts / "multiloss", "show", "huber"], check=True, cwd=home, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    work = Path(sys.argv[1])
    wheel, sdist = one(work / "dist", "*.whl"), one(work / "dist", "*.tar.gz")
    check_contents(wheel, sdist)
    check_installed(wheel, work / "from-wheel")
    check_installed(sdist, work / "from-sdist")
    print(f"{wheel.name} and {sdist.name} are whole")
