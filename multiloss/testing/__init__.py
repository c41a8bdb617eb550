"""Property tests of a loss, yours or the library's: `multiloss.testing.check("soft_abs")`.

Needs Hypothesis: pip install 'multiloss[testing]'.
"""

from multiloss.testing.checking import check
from multiloss.testing.strategies import Case, cases, domain_of, floats, labels, probabilities

__all__ = ["Case", "cases", "check", "domain_of", "floats", "labels", "probabilities"]
