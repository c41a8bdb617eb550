"""Property tests of a loss, yours or the library's: `multiloss.testing.check("soft_abs")`; and `properties`, what a
search finds about its formula.

Needs Hypothesis: pip install 'multiloss[testing]'.
"""

try:
    import hypothesis as _  # noqa: F401
except ModuleNotFoundError:
    raise ImportError("multiloss.testing needs Hypothesis; run: pip install 'multiloss[testing]'") from None

from multiloss.testing.checking import check, checked
from multiloss.testing.properties import Finding, Properties, properties
from multiloss.testing.strategies import Case, cases, domain_of, floats, labels, probabilities

__all__ = [
    "Case",
    "Finding",
    "Properties",
    "cases",
    "check",
    "checked",
    "domain_of",
    "floats",
    "labels",
    "probabilities",
    "properties",
]
