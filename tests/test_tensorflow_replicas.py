"""Center loss under `tf.distribute.MirroredStrategy`, also in Keras' `fit`: the table of one device."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from helpers import groups
from helpers.groups import D, replica_batch


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the replicas computed."""
    folder = tmp_path_factory.mktemp("replicas")
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    command = [sys.executable, "-P", "-m", "helpers.tensorflow_replicas", str(folder)]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return dict(np.load(folder / "kept.npz"))


@pytest.mark.parametrize(("name", "classes", "options"), groups.CENTER + groups.FAMILY)
def test_one_table(kept: dict[str, Any], name: str, classes: int, options: dict[str, Any]) -> None:
    """Batches of two lengths, one of them empty once, and both once: the copies are equal, and those of one device."""
    one = groups.made("numpy", classes, D, **options)
    for seed in range(4):
        labels, features = replica_batch(classes, seed)
        slopes = [one.value_and_grad(y, x, training=False)[1] for y, x in zip(labels, features, strict=True)]
        if not groups.starts(name, seed):
            np.testing.assert_allclose(kept[f"{name} gradient {seed}"], np.concatenate(slopes), rtol=1e-5, atol=1e-6)
        one(np.concatenate(labels), np.concatenate(features))
    np.testing.assert_allclose(kept[f"{name} centers"], one.centers, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("what", "said"),
    [("label", "ValueError: labels holds the label 9"), ("interrupt", "KeyboardInterrupt: of the input"),
     ("order", "ValueError: the replicas call different center losses at the same time")],
)  # fmt: skip
def test_what_goes_wrong_in_one_replica(kept: dict[str, Any], what: str, said: str) -> None:
    assert str(kept[f"refused {what}"]).startswith(said)
    assert kept[f"refused {what} stays"]


def test_keras_fit(kept: dict[str, Any]) -> None:
    """Two epochs on two replicas are those on one."""
    for what in ("centers", "weight"):
        assert np.abs(kept[f"fit one {what}"]).max() > 0.1
        np.testing.assert_allclose(kept[f"fit mirrored {what}"], kept[f"fit one {what}"], rtol=1e-4, atol=1e-5)


def test_keras_fit_of_integer_labels(kept: dict[str, Any]) -> None:
    """Keras builds such a model from the mean of the replicas' labels, which is float64."""
    np.testing.assert_allclose(kept["scce mirrored"], kept["scce one"], rtol=1e-4, atol=1e-5)
    assert np.isfinite(kept["triplet mirrored"]).all() and not np.allclose(kept["triplet mirrored"], 0)
