"""The old place of what is in `multiloss.comparing` now."""

from multiloss.comparing import Difference, Outcome, Report, compare

__all__ = ["Difference", "Outcome", "Report", "compare"]
