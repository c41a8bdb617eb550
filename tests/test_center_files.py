"""Centers in files and from backend to backend (contract, section 3): one safetensors file that every backend reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multiloss
from arrays import to_native, to_numpy

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


def test_files(backend: str, tmp_path: Path) -> None:
    """One safetensors file; another's shape, and what is no such file, is refused with the reason."""
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
