import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepot.tiling.tiles import TilePlan, choose_grid, min_window_length, split_axis


@given(st.integers(1, 400), st.integers(0, 9), st.integers(0, 9), st.integers(1, 60), st.sampled_from([1, 8]))
@settings(max_examples=200, deadline=None)
def test_windows_are_equal_and_their_shares_add_up_to_one(length, halo, blend, extra, scale):
    count = max(1, (length - 2 * halo - blend) // max(1, 2 * blend + extra))
    window = min_window_length(length, count, halo, blend)
    cut = split_axis(length, count, halo, blend)
    total = torch.zeros(length * scale)
    for span in cut:
        weights = span.blend_weights(scale)
        total[span.start * scale : span.stop * scale] += weights
        assert span.stop - span.start == min(length, window)
        inner = weights[(halo * scale if span.start else 0) : (-halo * scale or None if span.stop < length else None)]
        assert float(weights.sum()) == pytest.approx(float(inner.sum()), abs=1e-4), (
            "a result comes from inside the halo"
        )
    torch.testing.assert_close(total, torch.ones_like(total))


@given(st.integers(1, 50), st.integers(1, 50), st.integers(12, 20), st.sampled_from([0, 2]), st.sampled_from([1, 3]))
@example(13, 12, 12, 2, 1)  # one row of tiles would make them too narrow
@settings(max_examples=100, deadline=None)
def test_stitching_tiles_of_a_map_gives_the_map(height, width, window, blend, scale):
    plan = TilePlan(height, width, window, halo=2, blend=blend)
    whole = torch.arange(height * width * scale**2, dtype=torch.float32).reshape(1, 1, height * scale, width * scale)

    def tile(row, column):
        return whole[..., row.start * scale : row.stop * scale, column.start * scale : column.stop * scale]

    joined = torch.full_like(whole, -1)
    for block in plan.stitch(tile, scale):
        assert bool((joined[:, :, *block.region] == -1).all()), "each position once"
        joined[:, :, *block.region] = block.values
    torch.testing.assert_close(joined, whole)


@pytest.mark.parametrize(("height", "width"), [(60, 500), (500, 60)])
@pytest.mark.parametrize(("blend", "most"), [(0, 24 * 24), (2, 60 * 40)])
def test_of_tiles_that_are_cross_faded_one_line_across_the_shorter_side_is_held(height, width, blend, most):
    plan = TilePlan(height, width, 24, 2, blend)
    blocks = list(plan.stitch(lambda row, column: torch.zeros(1, 1, row.stop - row.start, column.stop - column.start)))
    assert max(block.values.numel() for block in blocks) <= most
    assert sum(block.values.numel() for block in blocks) == height * width


def test_a_window_too_small_for_its_halo_is_refused():
    with pytest.raises(ValueError, match="too small for a halo of 5"):
        split_axis(10, 20, 5, 0)
    with pytest.raises(ValueError, match="too small for a halo of 5"):
        choose_grid(100, 100, 10, 5, 0)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 5), st.integers(0, 5), st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_tiles_are_as_large_as_they_may_be_and_no_grid_computes_less(height, width, halo, blend, extra):
    window = 2 * halo + 3 * blend + 4 + extra
    plan = TilePlan(height, width, window, halo, blend)
    tall, wide = plan.rows[0], plan.columns[0]
    assert (tall.stop - tall.start) * (wide.stop - wide.start) <= window**2
    assert plan.count == 1 or height * width > window**2
    for rows in range(1, 12):
        for columns in range(1, 12):
            size = [min_window_length(*axis, halo, blend) for axis in ((height, rows), (width, columns))]
            fits = size[0] * size[1] <= window**2 and min(
                side for side, count in zip(size, (rows, columns), strict=True) if count > 1 or rows * columns == 1
            ) >= 2 * halo + blend + max(1, 2 * blend)
            if fits:
                rounding = plan.count * (tall.stop - tall.start + wide.stop - wide.start)
                assert plan.compute_ratio * height * width <= rows * columns * size[0] * size[1] + rounding


def test_a_photo_that_fits_is_one_tile_whatever_its_shape():
    assert TilePlan(20, 500, 100, 5, 0).count == 1
    assert TilePlan(250, 250, 100, 5, 0).compute_ratio < 1.2
    assert len(TilePlan(50, 7500, 128, 14, 0).rows) == 1, "a panorama is cut across only"


@given(st.integers(1, 400), st.integers(1, 400), st.integers(12, 60))
@settings(max_examples=100, deadline=None)
def test_samples_are_equal_windows_from_all_over_that_fit_into_a_tile(height, width, window):
    samples = TilePlan(height, width, window, halo=2, blend=2).probe_windows()
    sizes = {(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in samples}
    assert len(sizes) == 1
    ((tall, wide),) = sizes
    assert len(samples) * tall * wide <= window**2 and len(samples) == len({(r.start, c.start) for r, c in samples})
    assert min(rows.start for rows, _ in samples) == min(columns.start for _, columns in samples) == 0
    assert len(samples) == 9 or len(samples) * tall * wide >= height * width * 0.5 or min(height, width) < window
    if height > 3 * window and width > 3 * window:
        assert (max(rows.stop for rows, _ in samples), max(columns.stop for _, columns in samples)) == (height, width)
