"""Fitting the tests whether a photo looks natural already and needs no transport."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from deepot.restoration import Restorer
from deepot.transport import NaturalTest, fit_natural_test
from pipeline.calibration.paths import CalibrationPaths
from pipeline.calibration.sides import Side
from pipeline.calibration.stored_moments import read_moments_by_photo


class PhotoState(StrEnum):
    """A state of a calibration photo; the values are names of folders, and of tests in a map file.

    NATURAL: as results should look.
    DEGRADED: before the restorer of the calibration, where it is none that enlarges or does nothing.
    RESTORED: after it.
    """

    NATURAL = "natural"
    DEGRADED = "degraded"
    RESTORED = "restored"


def list_states(restorer: Restorer, side: Side) -> list[PhotoState]:
    """List the states in which the photos of a side are measured.

    Args:
        restorer: the restorer of the calibration.
        side: the side.
    """
    degraded = [PhotoState.DEGRADED] if restorer.model is not None and restorer.scale == 1 else []
    source = [PhotoState.RESTORED, *degraded] if side is not Side.REFERENCE else []
    return [*source, PhotoState.NATURAL] if side is not Side.SOURCE else source


def fit_natural_tests(
    paths: CalibrationPaths, map_sha256: str, restorer: Restorer, numbers: Mapping[Side, Sequence[int]]
) -> dict[str, NaturalTest]:
    """Fit a test for each state of a photo that is not natural, from what the tasks of a map have stored.

    Args:
        paths: the folder of the calibration.
        map_sha256: the map, which the tasks measured.
        restorer: the restorer of the calibration.
        numbers: the shards of each side.
    """
    tests = {}
    paired = Side.BOTH in numbers
    source, reference = (numbers[Side.BOTH],) * 2 if paired else (numbers[Side.SOURCE], numbers[Side.REFERENCE])
    natural = read_moments_by_photo(paths, map_sha256, PhotoState.NATURAL, reference)
    for state in list_states(restorer, Side.SOURCE):
        photos = read_moments_by_photo(paths, map_sha256, state, source)
        test = fit_natural_test(photos, natural, paired=paired)
        if test is not None:
            tests[state.value] = test
    return tests
