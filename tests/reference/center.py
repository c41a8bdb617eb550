"""Center loss (Wen, Zhang, Li, Qiao: A Discriminative Feature Learning Approach for Deep Face Recognition, ECCV 2016).

Eq. 2: 1/2 sum_i ||x_i - c_{y_i}||^2; Eq. 4: delta c_j = sum_i [y_i = j] (c_j - x_i) / (1 + sum_i [y_i = j]), and each
center moves by -alpha delta c_j.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def center_step(
    centers: ArrayLike, labels: ArrayLike, features: ArrayLike, alpha: float, mask: ArrayLike | None = None
) -> tuple[Array, Array]:
    """Per-sample values (with the centers from before the update, 0 where masked) and the new centers.

    centers (C, D), labels (N,), features (N, D), mask (N,) or None. A class that a non-finite row touches keeps its
    center; masked rows touch nothing.
    """
    old = np.asarray(centers, dtype=np.float64)
    x = np.asarray(features, dtype=np.float64)
    y = [int(label) for label in np.asarray(labels)]
    kept = [True] * len(y) if mask is None else [bool(m) for m in np.asarray(mask)]
    values = np.zeros(len(y))
    for i, label in enumerate(y):
        if kept[i]:
            values[i] = 0.5 * math.fsum((float(x[i, d]) - float(old[label, d])) ** 2 for d in range(x.shape[1]))
    new = old.copy()
    for j in range(old.shape[0]):
        members = [i for i, label in enumerate(y) if label == j and kept[i]]
        if not members or not np.isfinite(x[members]).all():
            continue
        for d in range(x.shape[1]):
            delta = math.fsum(float(old[j, d]) - float(x[i, d]) for i in members) / (1 + len(members))
            new[j, d] = old[j, d] - alpha * delta
    return values, new
