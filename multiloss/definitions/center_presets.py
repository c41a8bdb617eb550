"""What popular implementations of center loss compute instead of the paper's value and step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiloss.engine.table import Rule

PRESETS: Mapping[str | None, tuple[Rule, Mapping[str, Any]]] = {
    None: (Rule(), {}),
    "paper": (Rule(), {"reduction": "sum"}),
    "tensorflow": (
        Rule(source="EncodeTS/TensorFlow_Center_Loss"),
        {"reduction": "sum", "per_feature": True, "centers_init": "zeros"},
    ),
    "caffe": (Rule(source="ydwen/caffe-face, without the solver's momentum"), {"alpha": 0.01}),
    "facenet": (
        Rule(factor=2.0, by_class=False, source="davidsandberg/facenet; alpha is 1 - alfa"),
        {"alpha": 0.05, "per_feature": True, "centers_init": "zeros"},
    ),
    "kaiyangzhou": (
        Rule(
            factor=2.0,
            step_factor=2.0,
            by_class=False,
            by_batch=True,
            source="KaiyangZhou/pytorch-center-loss, SGD on the centers; alpha is its lr, times the weight of the loss "
            "where the script does not divide the centers' gradient by it",
        ),
        {"centers_init": "normal"},
    ),
    "jxgu1016": (
        Rule(by_batch=True, source="jxgu1016/MNIST_center_loss_pytorch; alpha is the lr of its centers"),
        {"centers_init": "normal"},
    ),
}
"""name -> the value's scale and the step, and the defaults of options that differ."""
