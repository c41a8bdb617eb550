"""What the options of your own loss may be, as annotations: `delta: Positive = 1.0`."""

from multiloss.engine.options import (
    Angle,
    Axis,
    BelowHalf,
    Count,
    Increasing,
    NonNegative,
    NonNegativeInteger,
    OneOrEach,
    OpenUnit,
    Positive,
    Reader,
    UnitInterval,
    Vector,
)

__all__ = [
    "Angle",
    "Axis",
    "BelowHalf",
    "Count",
    "Increasing",
    "NonNegative",
    "NonNegativeInteger",
    "OneOrEach",
    "OpenUnit",
    "Positive",
    "Reader",
    "UnitInterval",
    "Vector",
]
