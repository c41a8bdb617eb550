"""The names of `multiloss.comparing` where they were before."""

from multiloss.comparing import Difference, Outcome, Report, compare

__all__ = ["Difference", "Outcome", "Report", "compare"]
