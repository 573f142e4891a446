"""The kinds of calibration: which two sets of images a map is fitted between."""

from enum import StrEnum

_UNPAIRED_SHRINKAGE_SE = 1.0


class CalibrationKind(StrEnum):
    """Which two sets of images a map is fitted between.

    PAIRED: natural photos, degraded and restored, and the same natural photos.
    SELF: restored photos, degraded and restored once more, and the same restored photos.
    UNPAIRED: restored photos, and natural photos of other scenes.

    Example:
        >>> import deepot
        >>> deepot.CalibrationKind("unpaired").has_same_scenes
        False
        >>> [kind.default_shrinkage_se for kind in deepot.CalibrationKind]
        [0.0, 0.0, 1.0]
    """

    PAIRED = "paired"
    SELF = "self"
    UNPAIRED = "unpaired"

    @property
    def has_same_scenes(self) -> bool:
        """Whether both sets show the same scenes."""
        return self is not CalibrationKind.UNPAIRED

    @property
    def has_clean_originals(self) -> bool:
        """Whether the natural side holds the clean originals of the restored side."""
        return self is CalibrationKind.PAIRED

    @property
    def has_natural_photos(self) -> bool:
        """Whether one of the sets is of natural photos, which show how much detail results should have."""
        return self is not CalibrationKind.SELF

    @property
    def default_shrinkage_se(self) -> float:
        """Number of standard errors by which the map is shrunk unless the user chooses otherwise (`fit_map`)."""
        return 0.0 if self.has_same_scenes else _UNPAIRED_SHRINKAGE_SE
