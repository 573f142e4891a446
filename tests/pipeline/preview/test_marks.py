"""Where a preview makes one look."""

import torch

from pipeline.preview.marks import find_marks
from pipeline.reporting import PreviewMark


def test_find_marks_names_the_largest_change_and_the_flattest_area_that_changes():
    generator = torch.Generator().manual_seed(1)
    restored = torch.rand(3, 480, 640, generator=generator)
    restored[:, :160, :160] = 0.5  # flat, and unchanged
    restored[:, 320:, 480:] = 0.25  # flat, and changed a little
    enhanced = restored + 0.01
    enhanced[:, :160, :160] = 0.5
    enhanced[:, 160:320, 320:480] += 0.1
    assert find_marks(restored, enhanced) == (
        PreviewMark("largest change", 320, 160, 160, 160),
        PreviewMark("flattest area", 480, 320, 160, 160),
    )


def test_find_marks_of_a_photo_that_does_not_change_is_empty():
    same = torch.rand(3, 200, 200)
    assert find_marks(same, same) == ()


def test_find_marks_of_a_small_photo_is_all_of_it():
    restored = torch.rand(3, 40, 60)
    marks = find_marks(restored, restored + 0.1)
    assert {(mark.x, mark.y, mark.width, mark.height) for mark in marks} == {(0, 0, 60, 40)}
