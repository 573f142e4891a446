import pytest
import torch

from deepot.tiling.oom_retry import retry_with_smaller_tiles


def needs(max_size, tried):
    """A computation that exceeds memory in tiles larger than `max_size`, and records the sizes it was called with."""

    def compute(size):
        tried.append(size)
        if size > max_size:
            raise torch.OutOfMemoryError
        return f"result of {size}"

    return compute


@pytest.mark.parametrize(("max_size", "expected"), [(1024, [1024]), (600, [1024, 512]), (256, [1024, 512, 256])])
def test_retry_with_smaller_tiles_halves_the_side_until_it_fits(max_size, expected):
    tried = []
    assert retry_with_smaller_tiles(needs(max_size, tried), 1024, 256) == (f"result of {expected[-1]}", expected[-1])
    assert tried == expected


@pytest.mark.parametrize(("min_size", "expected"), [(256, [1024, 512, 256]), (300, [1024, 512]), (1024, [1024])])
def test_retry_with_smaller_tiles_below_the_minimum_raises(min_size, expected):
    tried = []
    with pytest.raises(torch.OutOfMemoryError):
        retry_with_smaller_tiles(needs(0, tried), 1024, min_size)
    assert tried == expected


def test_retry_with_smaller_tiles_passes_other_errors_on():
    with pytest.raises(ZeroDivisionError):
        retry_with_smaller_tiles(lambda size: 1 // 0, 1024, 256)


def test_retry_with_smaller_tiles_starts_every_call_with_the_same_side():
    tried = []
    for _ in range(2):
        retry_with_smaller_tiles(needs(512, tried), 1024, 256)
    assert tried == [1024, 512, 1024, 512]
