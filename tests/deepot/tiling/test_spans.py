import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepot.tiling.spans import choose_grid, min_window_length, split_axis


@given(st.integers(1, 400), st.integers(0, 9), st.integers(0, 9), st.integers(1, 60), st.sampled_from([1, 8]))
@settings(max_examples=200, deadline=None)
def test_split_axis_windows_are_equal_and_their_weights_sum_to_one(length, halo, blend, extra, scale):
    count = max(1, (length - 2 * halo - blend) // max(1, 2 * blend + extra))
    window = min_window_length(length, count, halo, blend)
    spans = split_axis(length, count, halo, blend)
    total = torch.zeros(length * scale)
    for span in spans:
        weights = span.blend_weights(scale)
        total[span.start * scale : span.stop * scale] += weights
        assert span.stop - span.start == min(length, window)
        inner = weights[(halo * scale if span.start else 0) : (-halo * scale or None if span.stop < length else None)]
        assert float(weights.sum()) == pytest.approx(float(inner.sum()), abs=1e-4), (
            "results must come from inside the halo"
        )
    torch.testing.assert_close(total, torch.ones_like(total))


def test_windows_too_small_for_their_halo_are_refused():
    with pytest.raises(ValueError, match="too small for a halo of 5"):
        split_axis(10, 20, 5, 0)
    with pytest.raises(ValueError, match="too small for a halo of 5"):
        choose_grid(100, 100, 10, 5, 0)
