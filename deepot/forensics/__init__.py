"""What happened to a photo, estimated from the photo alone: noise, JPEG compression, blur, enlargement."""

from deepot.forensics.degradation_estimate import (
    MAX_DEGRADED_QUALITY,
    DegradationEstimate,
    DegradationKind,
    estimate_degradation,
)
from deepot.forensics.jpeg_tables import JpegCoding

__all__ = [
    "MAX_DEGRADED_QUALITY",
    "DegradationEstimate",
    "DegradationKind",
    "JpegCoding",
    "estimate_degradation",
]
