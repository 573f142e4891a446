import numpy as np
import pytest
import torch

from deepot.autoencoder import as_autoencoder
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.inference.tile_options import TileOptions
from deepot.photo.alpha_fill import AlphaFill
from deepot.photo.pixels import Pixels
from deepot.restoration.loading import load_restorer
from tests.deepot.inference.test_enhancer import fit, photo
from tests.support import fake_autoencoders


@pytest.fixture(scope="module")
def autoencoder():
    return as_autoencoder(fake_autoencoders.smooth(), "smooth", dtype=torch.float32, device="cpu")


def disc(height=96, width=128, radius=34):
    y, x = np.mgrid[:height, :width]
    return np.hypot(y - height / 2, x - width / 2) < radius


def cut_out(hidden=0):
    """Return a photo that is visible within a disc, with all samples outside it `hidden`, and the mask of the disc."""
    samples = np.array(photo(128, 96))
    inside = disc()
    samples[~inside] = hidden
    return Pixels(samples, np.where(inside, 255, 0).astype(np.uint8)), inside


@pytest.mark.parametrize("mode", list(TransportMode))
def test_enhance_keeps_invisible_samples_and_is_not_affected_by_them(autoencoder, mode):
    enhancer = Enhancer(autoencoder, fit(autoencoder), mode=mode)
    results = []
    for hidden in (0, 255):
        pixels, inside = cut_out(hidden)
        enhancer.enhance(pixels)
        assert (pixels.samples[~inside] == hidden).all()
        results.append(pixels.samples[inside])
    np.testing.assert_array_equal(*results)


def test_enhance_changes_visible_borders_as_in_an_opaque_photo(autoencoder):
    """Black samples outside the disc change its border if they are not marked as transparent."""
    transport = fit(autoencoder)
    flat = np.full((96, 128, 3), 150, np.uint8)
    flat[::7, ::5] += 1  # a constant area would not be changed at all
    inside = disc()
    black = np.where(inside[:, :, None], flat, 0).astype(np.uint8)
    opaque, cut, unmarked = Pixels(flat.copy()), Pixels(black.copy(), np.where(inside, 255, 0)), Pixels(black.copy())
    for pixels in (opaque, cut, unmarked):
        Enhancer(autoencoder, transport, mode=TransportMode.RESIDUAL).enhance(pixels)
    border = inside & ~disc(radius=30)
    expected = opaque.samples[border].astype(int)
    assert np.abs(cut.samples[border] - expected).max() <= 1
    assert np.abs(unmarked.samples[border] - expected).max() > 8


def test_to_rgb_fills_a_pixel_alike_in_every_region(autoencoder):
    pixels, _ = cut_out()
    full = pixels.to_rgb()
    for rows, columns in (
        (slice(10, 37), slice(5, 90)),
        (slice(60, 200), slice(100, None)),
        (slice(0, 8), slice(0, 8)),
    ):
        assert torch.equal(pixels.to_rgb(rows, columns), full[:, :, rows, columns])
    transport = fit(autoencoder)
    one, tiled = cut_out()[0], cut_out()[0]
    Enhancer(autoencoder, transport).enhance(one)
    Enhancer(autoencoder, transport, tiles=TileOptions(64)).enhance(tiled)
    assert np.abs(one.samples.astype(int) - tiled.samples).max() <= 1


def test_alpha_fill_continues_the_visible_colours():
    y, x = np.mgrid[:64, :80]
    ramp = np.stack([x * 3, y * 3, np.full_like(x, 90)], -1).astype(np.uint8)
    alpha = np.where(x < 40, 255, 0).astype(np.uint8)
    filled = AlphaFill(ramp, alpha).fill(ramp * 0, alpha * 0, slice(None), slice(None), (64, 80))
    step = np.abs(filled[:, 40].astype(int) - ramp[:, 39])
    assert step.max() <= 20, "there must be no edge where visibility ends"
    visible = ramp[:, :40]
    assert (filled >= visible.min((0, 1))).all()
    assert (filled <= visible.max((0, 1))).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (3, 257)])
def test_to_rgb_fills_16_bit_photos_of_extreme_shapes(size):
    samples = np.full((*size, 3), 40000, np.uint16)
    alpha = np.full(size, 65535, np.uint16)
    alpha[0, 0] = 0
    pixels = Pixels(samples, alpha)
    assert pixels.to_rgb().shape == (1, 3, *size)
    if min(size) * max(size) > 1:
        assert (pixels.to_rgb() * 65535 - 40000).abs().max() < 1


def test_resize_keeps_bit_depth_and_transparency():
    pixels, _ = cut_out()
    deep = Pixels(pixels.samples.astype(np.uint16) * 257, pixels.alpha.astype(np.uint16) * 257)
    large = load_restorer("resize:factor=2")(deep)
    assert large.samples.dtype == large.alpha.dtype == np.uint16
    assert large.alpha.shape == (192, 256)
