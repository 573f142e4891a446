from .degradation_estimate import (
    MAX_DEGRADED_QUALITY,
    DegradationEstimate,
    DegradationKind,
    estimate_degradation,
)
from .jpeg_tables import JpegCoding

__all__ = [
    "MAX_DEGRADED_QUALITY",
    "DegradationEstimate",
    "DegradationKind",
    "JpegCoding",
    "estimate_degradation",
]
