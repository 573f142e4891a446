"""Transparency is kept, what it hides is left alone, and it casts no halo."""

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
from tests.deepot.inference.test_enhancer import fitted, photo
from tests.support import fake_autoencoders as codecs


@pytest.fixture(scope="module")
def codec():
    return as_autoencoder(codecs.smooth(), "smooth", dtype=torch.float32, device="cpu")


def disc(height=96, width=128, radius=34):
    y, x = np.mgrid[:height, :width]
    return np.hypot(y - height / 2, x - width / 2) < radius


def cut_out(hidden=0):
    """A photo in a disc; outside nothing can be seen, and the samples there are all `hidden`."""
    samples = np.array(photo(128, 96))
    inside = disc()
    samples[~inside] = hidden
    return Pixels(samples, np.where(inside, 255, 0).astype(np.uint8)), inside


@pytest.mark.parametrize("mode", list(TransportMode))
def test_hidden_colours_neither_change_nor_shine_through(codec, mode):
    enhancer = Enhancer(codec, fitted(codec), mode=mode)
    results = []
    for hidden in (0, 255):
        pixels, inside = cut_out(hidden)
        enhancer.enhance(pixels)
        assert (pixels.samples[~inside] == hidden).all()
        results.append(pixels.samples[inside])
    np.testing.assert_array_equal(*results)


def test_no_halo_at_the_border(codec):
    """The visible border gets the change it has in the same photo without transparency, with black behind it not."""
    transport = fitted(codec)
    flat = np.full((96, 128, 3), 150, np.uint8)
    inside = disc()
    black = np.where(inside[:, :, None], flat, 0).astype(np.uint8)
    whole, cut, ignored = Pixels(flat.copy()), Pixels(black.copy(), np.where(inside, 255, 0)), Pixels(black.copy())
    for pixels in (whole, cut, ignored):
        Enhancer(codec, transport, mode=TransportMode.RESIDUAL).enhance(pixels)
    border = inside & ~disc(radius=30)
    expected = whole.samples[border].astype(int)
    assert np.abs(cut.samples[border] - expected).max() <= 1
    assert np.abs(ignored.samples[border] - expected).max() > 8


def test_the_backdrop_is_the_same_in_every_tile(codec):
    pixels, _ = cut_out()
    full = pixels.to_rgb()
    for rows, columns in (
        (slice(10, 37), slice(5, 90)),
        (slice(60, 200), slice(100, None)),
        (slice(0, 8), slice(0, 8)),
    ):
        assert torch.equal(pixels.to_rgb(rows, columns), full[:, :, rows, columns])
    transport = fitted(codec)
    one, tiled = cut_out()[0], cut_out()[0]
    Enhancer(codec, transport).enhance(one)
    Enhancer(codec, transport, tiles=TileOptions(64)).enhance(tiled)
    assert np.abs(one.samples.astype(int) - tiled.samples).max() <= 1


def test_the_backdrop_continues_what_is_visible():
    y, x = np.mgrid[:64, :80]
    ramp = np.stack([x * 3, y * 3, np.full_like(x, 90)], -1).astype(np.uint8)
    alpha = np.where(x < 40, 255, 0).astype(np.uint8)
    filled = AlphaFill(ramp, alpha).fill(ramp * 0, alpha * 0, slice(None), slice(None), (64, 80))
    step = np.abs(filled[:, 40].astype(int) - ramp[:, 39])
    assert step.max() <= 20, "no edge where visibility ends"
    seen = ramp[:, :40]
    assert (filled >= seen.min((0, 1))).all()
    assert (filled <= seen.max((0, 1))).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (3, 257)])
def test_odd_sizes_and_depths(size):
    samples = np.full((*size, 3), 40000, np.uint16)
    alpha = np.full(size, 65535, np.uint16)
    alpha[0, 0] = 0
    pixels = Pixels(samples, alpha)
    assert pixels.to_rgb().shape == (1, 3, *size)
    if min(size) * max(size) > 1:
        assert (pixels.to_rgb() * 65535 - 40000).abs().max() < 1


def test_enlargement_keeps_depth_and_transparency():
    pixels, _ = cut_out()
    deep = Pixels(pixels.samples.astype(np.uint16) * 257, pixels.alpha.astype(np.uint16) * 257)
    large = load_restorer("resize:factor=2")(deep)
    assert large.samples.dtype == large.alpha.dtype == np.uint16
    assert large.alpha.shape == (192, 256)
