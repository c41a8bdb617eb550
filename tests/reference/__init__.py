"""The reference that every backend is held to: textbook formulas, in loops, in float64 NumPy.

Nothing here imports `multiloss`, and nothing was copied from it: the formulas come from `shared/contract.md` and from
the literature named in each module. What matters is that a reader can see that a function is right; speed matters
only so far that some two hundred elements take a few milliseconds.

* `per_sample(name, y_true, y_pred, axis=-1, **options)`: one value per sample, before weights and reduction.
* `reduce(values, reduction, sample_weight, mask)`: section 2 of the contract.
* `loss(...)`: the two together, with `class_weight` and `ignore_index`.
* `gradient(...)`: of the reduced value (of the sum for `reduction="none"`) with respect to `y_pred`, by hand-derived
  formulas.
* `exact(name, y_true, y_pred, **options)`: value and gradient of one element with 50 digits (numbers of `CONTEXT`).
* `center_step(...)`: center loss and Eq. 4 of Wen et al. 2016.
* `softmax`, `log_softmax`, `logsumexp`, `entropy`, `cross_entropy`, `relative_entropy`.
"""

from .center import center_step
from .information import CONTEXT, cross_entropy, entropy, log_softmax, logsumexp, relative_entropy, softmax
from .losses import CLASS_LOSSES, ELEMENTWISE, LOSSES, ROOTS, gradient, loss, per_sample, per_sample_gradient
from .precise import exact
from .reductions import REDUCTIONS, coefficients, reduce

__all__ = [
    "CLASS_LOSSES",
    "CONTEXT",
    "ELEMENTWISE",
    "LOSSES",
    "REDUCTIONS",
    "ROOTS",
    "center_step",
    "coefficients",
    "cross_entropy",
    "entropy",
    "exact",
    "gradient",
    "log_softmax",
    "logsumexp",
    "loss",
    "per_sample",
    "per_sample_gradient",
    "reduce",
    "relative_entropy",
    "softmax",
]
