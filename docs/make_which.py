"""Make the pictures and tables of `which.md`: `python docs/make_which.py [NAME...]` (needs `multiloss[demo,torch]`).

Each experiment has fixed seeds, writes `pictures/which-NAME.png`, and puts what it measured into `pictures/which.json`
and into the page.
"""

from __future__ import annotations

import sys

from which_experiments import center, lines, networks

EXPERIMENTS = {
    "outliers": lines.outliers,
    "noise": lines.noise,
    "relative": lines.relative,
    "imbalance": lines.imbalance,
    "noisy-labels": networks.noisy_labels,
    "confidence": networks.confidence,
    "few-pairs": networks.few_pairs,
    "open-set": center.open_set,
    "center": center.helps,
    "weight-decay": center.weight_decay,
    "too-much": center.too_much,
    "kinds": center.kinds,
    "slow": center.slow,
    "unit-features": center.unit_features,
    "beside-arcface": center.beside_arcface,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or EXPERIMENTS:
        EXPERIMENTS[name]()
