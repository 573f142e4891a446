import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepot.tiling.spans import min_window_length
from deepot.tiling.tile_plan import TilePlan


@given(st.integers(1, 50), st.integers(1, 50), st.integers(12, 20), st.sampled_from([0, 2]), st.sampled_from([1, 3]))
@example(13, 12, 12, 2, 1)  # one row of tiles would make them too narrow
@settings(max_examples=100, deadline=None)
def test_stitch_tiles_of_an_image_gives_the_image(height, width, window, blend, scale):
    plan = TilePlan(height, width, window, halo=2, blend=blend)
    image = torch.arange(height * width * scale**2, dtype=torch.float32).reshape(1, 1, height * scale, width * scale)

    def tile(row, column):
        return image[..., row.start * scale : row.stop * scale, column.start * scale : column.stop * scale]

    stitched = torch.full_like(image, -1)
    for block in plan.stitch(tile, scale):
        assert bool((stitched[:, :, *block.region] == -1).all()), "no position may be written twice"
        stitched[:, :, *block.region] = block.values
    torch.testing.assert_close(stitched, image)


@pytest.mark.parametrize(("height", "width"), [(60, 500), (500, 60)])
@pytest.mark.parametrize(("blend", "max_values"), [(0, 24 * 24), (2, 60 * 40)])
def test_stitch_with_cross_fades_holds_one_line_of_tiles_along_the_shorter_side(height, width, blend, max_values):
    plan = TilePlan(height, width, 24, 2, blend)
    blocks = list(plan.stitch(lambda row, column: torch.zeros(1, 1, row.stop - row.start, column.stop - column.start)))
    assert max(block.values.numel() for block in blocks) <= max_values
    assert sum(block.values.numel() for block in blocks) == height * width


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 5), st.integers(0, 5), st.integers(0, 60))
@example(height=15, width=18, halo=0, blend=4, extra=0)  # both halves must be longer than the cover needs
@settings(max_examples=200, deadline=None)
def test_tile_plan_chooses_the_grid_that_computes_least(height, width, halo, blend, extra):
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


def test_tile_plan_of_a_photo_that_fits_is_one_tile_whatever_its_shape():
    assert TilePlan(20, 500, 100, 5, 0).count == 1
    assert TilePlan(250, 250, 100, 5, 0).compute_ratio < 1.2
    assert len(TilePlan(50, 7500, 128, 14, 0).rows) == 1, "a panorama must be cut along its longer side only"


@given(st.integers(1, 400), st.integers(1, 400), st.integers(12, 60))
@settings(max_examples=100, deadline=None)
def test_probe_windows_are_equal_spread_and_fit_into_a_tile(height, width, window):
    probes = TilePlan(height, width, window, halo=2, blend=2).probe_windows()
    sizes = {(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in probes}
    assert len(sizes) == 1
    ((tall, wide),) = sizes
    assert len(probes) * tall * wide <= window**2 and len(probes) == len({(r.start, c.start) for r, c in probes})
    assert min(rows.start for rows, _ in probes) == min(columns.start for _, columns in probes) == 0
    assert len(probes) == 9 or len(probes) * tall * wide >= height * width * 0.5 or min(height, width) < window
    if height > 3 * window and width > 3 * window:
        assert (max(rows.stop for rows, _ in probes), max(columns.stop for _, columns in probes)) == (height, width)
