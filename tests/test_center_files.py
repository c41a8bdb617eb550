"""Centers in files and from backend to backend (contract, section 3): one safetensors file that every backend reads."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import to_native, to_numpy
from multiloss.center import files

C, D = 5, 3
LABELS = np.array([0, 2, 2, 1])
FEATURES = np.random.default_rng(0).normal(size=(4, D)).astype(np.float32)
FIRST = np.random.default_rng(1).normal(size=(C, D)).astype(np.float32)


def make(backend: str, **options: Any) -> Any:
    return multiloss.get("center", backend=backend, num_classes=C, feature_dim=D, centers_init=FIRST, **options)


def native(backend: str, *arrays: Any) -> tuple[Any, ...]:
    return tuple(to_native(backend, a) for a in arrays)


def close(got: Any, expected: Any, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(to_numpy(got), expected, rtol=rtol, atol=1e-6)


def same(got: Any, expected: Any) -> None:
    np.testing.assert_array_equal(to_numpy(got), expected)


def test_files_are_read_back_and_others_refused(backend: str, tmp_path: Path) -> None:
    path, center = tmp_path / "centers.safetensors", make(backend)
    center(*native(backend, LABELS, FEATURES))
    center.save_centers(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    for other in (make(backend), multiloss.get("center", backend=backend)):
        other.load_centers(path)
        same(other.centers, to_numpy(center.centers))
    for options in ({"num_classes": 4, "feature_dim": D}, {"num_classes": C, "feature_dim": 2}):
        wrong = multiloss.get("center", backend=backend, **options)
        with pytest.raises(ValueError, match=r"centers of shape \(5, 3\), but these are of shape \([45], [23]\)"):
            wrong.load_centers(path)
        assert not to_numpy(wrong.centers).any()
    (tmp_path / "text").write_text("no")
    with pytest.raises(ValueError, match="no safetensors file"):
        center.load_centers(tmp_path / "text")
    with pytest.raises(FileNotFoundError):
        center.load_centers(tmp_path / "nothing")
    with pytest.raises(ValueError, match="no centers yet"):
        multiloss.get("center", backend=backend).save_centers(path)


@pytest.mark.cross
def test_files_and_to_backend_cross_frameworks(tmp_path: Path) -> None:
    path = tmp_path / "centers"
    for here, there in (
        ("numpy", "torch"),
        ("torch", "jax"),
        ("jax", "tensorflow"),
        ("tensorflow", "keras"),
        ("keras", "numpy"),
    ):
        center = make(here, alpha=0.25)
        center(*native(here, LABELS, FEATURES))
        center.save_centers(path)
        read = multiloss.get("center", backend=there)
        read.load_centers(path)
        close(read.centers, to_numpy(center.centers), rtol=1e-7)
        moved = center.to_backend(there)
        close(moved.centers, to_numpy(center.centers), rtol=1e-7)
        assert moved.config() == center.config() | {"backend": there}


@pytest.mark.reads
def test_resize_and_select_keep_the_rows_of_kept_classes(backend: str) -> None:
    center = multiloss.get("center", backend=backend, num_classes=3, feature_dim=D, centers_init="normal", seed=7)
    center(*native(backend, LABELS, FEATURES))
    three = to_numpy(center.centers).copy()
    center.resize(C)
    fresh = multiloss.get("center", backend=backend, num_classes=C, feature_dim=D, centers_init="normal", seed=7)
    same(center.centers, np.concatenate([three, to_numpy(fresh.centers)[3:]]))
    assert center.config()["num_classes"] == C
    center.select([4, 0])
    same(center.centers, np.stack([to_numpy(fresh.centers)[4], three[0]]))
    before = to_numpy(center.centers).copy()
    center(*native(backend, np.array([1, 1, 1, 1]), FEATURES))
    same(to_numpy(center.centers)[0], before[0])
    assert (to_numpy(center.centers)[1] != before[1]).any()
    with pytest.raises(ValueError, match=r"out of range|\[0, 2\)"):
        center(*native(backend, LABELS, FEATURES))
    before = to_numpy(center.centers).copy()
    for classes, said in (([0, 2], r"\[0, 2\), each once; got 2"), ([1, 1], "twice"), ([], "got none")):
        with pytest.raises(ValueError, match=said):
            center.select(classes)
    with pytest.raises(ValueError, match="num_classes must be"):
        center.resize(0)
    same(center.centers, before)
    with pytest.raises(ValueError, match="no centers yet"):
        multiloss.get("center", backend=backend).resize(3)


def test_a_file_for_another_class_set_is_adapted_on_request(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "centers.safetensors"
    make(backend).save_centers(path)
    options: dict[str, Any] = {"backend": backend, "feature_dim": D}
    two = multiloss.get("center", num_classes=2, **options)
    with pytest.raises(ValueError, match=r"\(5, 3\), but these are of shape \(2, 3\); resize=True or classes="):
        two.load_centers(path)
    two.load_centers(path, resize=True)
    same(two.centers, FIRST[:2])
    two.load_centers(path, classes=[4, 1])
    same(two.centers, FIRST[[4, 1]])
    seven = multiloss.get("center", num_classes=7, centers_init="normal", **options)
    first = to_numpy(seven.centers)
    seven.load_centers(path, resize=True)
    same(seven.centers, np.concatenate([FIRST, first[5:]]))
    with pytest.raises(ValueError, match=r"\(5, 3\), but these are of shape \(2, 4\)$"):
        multiloss.get("center", num_classes=2, backend=backend, feature_dim=4).load_centers(path, resize=True)
    with pytest.raises(ValueError, match="got 9"):
        two.load_centers(path, classes=[0, 9])


def test_first_values_go_with_their_classes(backend: str) -> None:
    center = make(backend)
    center.select([3, 1])
    center.resize(1)
    center.resize(3)
    same(center.centers, np.stack([FIRST[3], FIRST[1], np.zeros(D)]))
    center.select([2, 1])
    same(center.init_state()["centers"], np.stack([np.zeros(D), FIRST[1]]))


def test_a_file_is_as_readable_as_any_other(backend: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    make(backend).save_centers(tmp_path / "centers")
    assert (tmp_path / "centers").stat().st_mode == (tmp_path / "other").stat().st_mode
    assert {path.name for path in tmp_path.iterdir()} == {"centers", "other"}


def test_a_file_of_numbers_that_numpy_has_not(backend: str, tmp_path: Path) -> None:
    header = b'{"centers":{"dtype":"BF16","shape":[5,3],"data_offsets":[0,30]}}'
    (tmp_path / "half").write_bytes(len(header).to_bytes(8, "little") + header + bytes(30))
    center = make(backend)
    with pytest.raises(ValueError, match="half holds numbers of a type that NumPy has not, BF16"):
        center.load_centers(tmp_path / "half")
    same(center.centers, FIRST)


def metadata_of(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return dict(file.metadata())


@pytest.mark.only("numpy")
def test_a_file_that_is_replaced_keeps_its_place_and_mode(backend: str, tmp_path: Path) -> None:
    real, link, center = tmp_path / "disk" / "centers", tmp_path / "link", make(backend)
    real.parent.mkdir()
    link.symlink_to(real)
    center.save_centers(link)
    assert link.is_symlink() and real.is_file()
    real.chmod(0o640)
    center.load_centers(link)
    center.save_centers(link)
    assert real.stat().st_mode & 0o777 == 0o640 and [p.name for p in real.parent.iterdir()] == ["centers"]


@pytest.mark.only("numpy")
def test_what_is_no_regular_file_is_refused(backend: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        for act in (make(backend).save_centers, make(backend).load_centers):
            with pytest.raises(ValueError, match="path must name a file"):
                act(path)
    assert not Path("/dev/null").is_file()


@pytest.mark.only("numpy")
def test_names_as_long_as_the_system_takes(backend: str, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    make(backend).save_centers(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.only("numpy")
def test_a_killed_save_leaves_nothing_behind(backend: str, tmp_path: Path) -> None:
    """Killed at any moment of saving 20 MB over and over: there is one whole file, and no other."""
    code = (
        "import multiloss, sys\n"
        "center = multiloss.get('center', backend='numpy', num_classes=20_000, feature_dim=256)\n"
        f"center.save_centers({str(tmp_path / 'centers')!r}); print(flush=True)\n"
        f"while True: center.save_centers({str(tmp_path / 'centers')!r})\n"
    )
    for wait in (0.003, 0.011, 0.02, 0.029, 0.041):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(wait)
            process.kill()
        assert [p.name for p in tmp_path.iterdir()] == ["centers"]
        assert files.load(tmp_path / "centers").shape == (20_000, 256)


BAD_FILES = [
    ({"format": "pt"}, FIRST, "no file of `save_centers`: its format is 'pt'"),
    (None, FIRST, "no file of `save_centers`: its format is None"),
    ({"format": "multiloss.centers", "version": "2"}, FIRST, "version '2' of multiloss.centers"),
    ({"format": "multiloss.centers", "version": "1"}, FIRST * np.float32(np.nan), "not finite"),
    ({"format": "multiloss.centers", "version": "1"}, np.full_like(FIRST, np.inf), "not finite"),
    ({"format": "multiloss.centers", "version": "1"}, FIRST[:0], "centers of shape"),
    ({"format": "multiloss.centers", "version": "1"}, FIRST[:, :0], "centers of shape"),
]


@pytest.mark.parametrize(("about", "table", "said"), BAD_FILES)
def test_files_that_are_refused(backend: str, about: Any, table: np.ndarray, said: str, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"centers": table}, tmp_path / "centers", about)
    for center in (make(backend), multiloss.get("center", backend=backend)):
        before = to_numpy(center.centers).copy() if center.centers is not None else None
        with pytest.raises(ValueError, match=said):
            center.load_centers(tmp_path / "centers")
        if before is not None:
            same(center.centers, before)


@pytest.mark.only("torch", "tensorflow", "keras")
def test_numbers_too_large_for_the_table_are_refused(backend: str, tmp_path: Path) -> None:
    """Tables are float32 on these; on NumPy, and JAX with x64, they are float64."""
    files.save(tmp_path / "centers", FIRST.astype(np.float64) * 1e300)
    for center in (make(backend), multiloss.get("center", backend=backend)):
        with pytest.raises(ValueError, match="not finite in float32"):
            center.load_centers(tmp_path / "centers")


@pytest.mark.only("numpy")
def test_paths_that_lead_nowhere(backend: str, tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to(tmp_path / "self")
    for path, error in ((tmp_path / "self", ValueError), ("", ValueError), (tmp_path / "no" / "x", FileNotFoundError)):
        with pytest.raises(error, match=r"path must name a file|there is no folder"):
            make(backend).save_centers(path)
    assert (tmp_path / "self").is_symlink()
