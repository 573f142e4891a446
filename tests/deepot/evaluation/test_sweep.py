"""The points of a sweep."""

from deepot.evaluation.sweep import (
    CLEAN_RECONSTRUCTION,
    RESTORED,
    RESTORED_RECONSTRUCTION,
    sweep_points,
)
from deepot.inference.modes import TransportMode


def test_sweep_points_are_the_controls_and_every_alpha_once():
    assert [str(point) for point in sweep_points([TransportMode.PLAIN], [1, 0.5, 0.5, 0])] == [
        RESTORED,
        RESTORED_RECONSTRUCTION,
        CLEAN_RECONSTRUCTION,
        "plain α=0",
        "plain α=0.5",
    ]


def test_sweep_points_repeat_no_mode():
    modes = [TransportMode.DETAIL, TransportMode.PLAIN, TransportMode.DETAIL]
    assert [point.name for point in sweep_points(modes, [0])][3:] == ["detail", "plain"]
