"""The two sides of a calibration."""

from enum import StrEnum


class Side(StrEnum):
    """A side of a calibration, or both; the values are names of folders and files.

    SOURCE: restored photos, which the map starts from.
    REFERENCE: natural photos, which it leads to.
    BOTH: photos that serve both sides: natural ones, which are also degraded and restored.
    """

    SOURCE = "source"
    REFERENCE = "reference"
    BOTH = "both"
