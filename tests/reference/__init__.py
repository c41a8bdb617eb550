"""The reference that every backend is held to: textbook formulas, in loops over numbers of 50 digits.

Nothing here imports `multiloss`, and nothing was copied from it: the formulas come from `shared/contract.md` and from
the literature named in each module. What matters is that a reader can see that a function is right; speed matters
only so far that some two hundred elements take a few milliseconds.

* `catalogue`: the value of every loss, with inputs, option sets and worked edges. Derivatives are differences of it.
* `loss(...)`, `gradient(...)`, `per_sample(...)`: the losses of LOSSES over any axis, with weights, masks, classes'
  weights and reductions (section 2 of the contract). `reduce` and `coefficients` are the last step alone.
* `exact(name, y_true, y_pred, **options)`: value and derivative of one element (numbers of `CONTEXT`).
* `center_step(...)`: center loss and Eq. 4 of Wen et al. 2016; `center` has its family, too.
* `softmax`, `log_softmax`, `logsumexp`.
"""

from .center import center_step
from .information import CONTEXT, log_softmax, logsumexp, softmax
from .losses import CLASS_LOSSES, LOSSES, exact, gradient, loss, per_sample
from .reductions import REDUCTIONS, coefficients, reduce

__all__ = [
    "CLASS_LOSSES", "CONTEXT", "LOSSES", "REDUCTIONS", "center_step", "coefficients", "exact", "gradient",
    "log_softmax", "logsumexp", "loss", "per_sample", "reduce", "softmax",
]  # fmt: skip
