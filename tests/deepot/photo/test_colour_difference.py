import numpy as np
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from deepot.photo.colour_difference import ciede2000, compare_lab_grids, lab_grid, srgb_to_lab
from deepot.photo.pixels import Pixels
from tests.deepot.inference.test_enhancer import photo


def test_ciede2000_agrees_with_scikit_image():
    generator = np.random.default_rng(2)
    first, second = generator.random((2, 30, 40, 3))
    first[0, :5] = second[0, :5] = 0.5  # greys have no hue
    first[1, :5] = first[1, :5, :1]
    np.testing.assert_allclose(srgb_to_lab(first), rgb2lab(first), atol=0.01)
    np.testing.assert_allclose(
        ciede2000(srgb_to_lab(first), srgb_to_lab(second)),
        deltaE_ciede2000(srgb_to_lab(first), srgb_to_lab(second)),
        atol=1e-9,
    )


def test_compare_lab_grids_reports_colour_shifts_and_ignores_enlargement():
    image = photo()
    plain, warm = Pixels.from_image(image), Pixels.from_image(image)
    warm.add_rgb_delta(0, torch.tensor([0.05, 0.0, -0.05]).view(1, 3, 1, 1).expand(1, 3, 120, 160))
    found = compare_lab_grids(lab_grid(plain), lab_grid(warm))
    assert found.delta_e > 3
    assert found.mean_colour_delta_e > 3
    noise = Pixels.from_image(image)
    noise.add_rgb_delta(0, 0.1 * torch.randn(1, 3, 120, 160, generator=torch.Generator().manual_seed(0)))
    assert (
        compare_lab_grids(lab_grid(plain), lab_grid(noise)).mean_colour_delta_e
        < compare_lab_grids(lab_grid(plain), lab_grid(noise)).delta_e / 4
    )
    assert compare_lab_grids(lab_grid(plain), lab_grid(plain)).delta_e == 0
    flat = Pixels(np.full((5, 7, 3), 90, np.uint8))
    assert compare_lab_grids(lab_grid(flat), lab_grid(Pixels(np.full((20, 28, 3), 90, np.uint8)))).delta_e == 0
