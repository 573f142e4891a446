"""Samples on a device: they are read, changed and collected as `Pixels` does it, bit for bit."""

import numpy as np
import pytest
import torch

from deepot.errors import AutoencoderError
from deepot.inference import enhancer as enhancer_module
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.inference.photo_samples import DeviceSamples, HostSamples, take_samples
from deepot.inference.tile_options import TileOptions
from deepot.photo import ConstantAreas, Pixels
from tests.deepot.inference.test_composition import with_tone
from tests.deepot.inference.test_enhancer import MODES, photo, with_reconstruction
from tests.support.fake_gpu import FAKE_DEVICE, fake_gpu

CPU = torch.device("cpu")
REGIONS = [(slice(0, 47), slice(0, 61)), (slice(3, 20), slice(13, 14)), (slice(40, 56), slice(48, 64))]


def take(original, result=None, device=CPU):
    """The samples of a photo with its constant areas."""
    areas = ConstantAreas(original.samples)
    return take_samples(original, result or original, areas if areas.any else None, device)


def random_photo(channels, seed=0):
    """A photo with a constant area, whose edges are no multiples of eight."""
    samples = np.random.default_rng(seed).integers(0, 256, (47, 61, channels), dtype=np.uint8)
    samples[5:30, 13:44] = 255
    return Pixels(samples)


@pytest.mark.parametrize("mode", MODES)
def test_samples_are_on_the_device_if_they_are_eight_bit_grey_or_rgb_without_alpha(mode):
    samples = take(Pixels.from_image(photo(61, 47, mode)))
    assert isinstance(samples, DeviceSamples if mode in ("L", "RGB") else HostSamples)


@pytest.mark.parametrize("device", [CPU, FAKE_DEVICE], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_regions_and_their_constant_pixels_are_those_of_the_host(channels, region, device):
    original = random_photo(channels)
    areas = ConstantAreas(original.samples)
    with fake_gpu():
        samples = take(original, device=device)
        found = samples.to_rgb(*region, device)
        strides, found = found.stride(), found.cpu()
        constant = samples.constant_mask(*region).cpu()
    expected = original.to_rgb(*region)
    assert torch.equal(found, expected)
    assert strides == expected.stride()
    assert np.array_equal(constant, areas.mask(*region))


@pytest.mark.parametrize("device", [CPU, FAKE_DEVICE], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_add_rgb_delta_gives_the_bits_of_pixels_also_at_halves_limits_and_beyond_the_edge(channels, device):
    original, generator = random_photo(channels), torch.Generator().manual_seed(1)
    expected, result = (Pixels(original.samples.copy()) for _ in range(2))
    steps = torch.randint(-20, 21, (1, 3, 50, 40), generator=generator) / 2
    deltas = [steps / 255, 2 * torch.rand(1, 3, 47, 64, generator=generator) - 1]
    for delta, (top, left) in zip(deltas, [(0, 30), (2, 0)], strict=True):
        result.samples[:] = expected.samples[:] = original.samples
        expected.add_rgb_delta(top, delta, left)
        with fake_gpu():
            samples = take(original, result, device)
            samples.result[:] = samples.original
            samples.add_rgb_delta(top, delta.to(device), left)
            found = samples.result.cpu().numpy()
        assert np.array_equal(found, expected.samples)
        assert 0.1 < (found != original.samples).mean() < 1


def test_strips_do_not_change_the_result(monkeypatch):
    original, delta = random_photo(3), torch.rand(1, 3, 47, 61, generator=torch.Generator().manual_seed(2)) - 0.5
    results = []
    for size in (2**18, 100):
        monkeypatch.setattr("deepot.inference.photo_samples._STRIP_PIXELS", size)
        result = Pixels(original.samples.copy())
        take(original, result).add_rgb_delta(0, delta, 0)
        results.append(result.samples)
    assert np.array_equal(*results)


@pytest.mark.parametrize("image_mode", ["L", "RGB"])
@pytest.mark.parametrize("mode", list(TransportMode))
@pytest.mark.parametrize("size", [1424, 64])
def test_enhance_gives_the_bits_of_samples_on_the_host(autoencoder, transport, mode, image_mode, size, monkeypatch):
    shifted = with_tone(with_reconstruction(transport), 5)
    found = []
    for take_host in (False, True):
        if take_host:
            monkeypatch.setattr(enhancer_module, "take_samples", HostSamples)
        pixels = Pixels.from_image(photo(121, 99, image_mode))
        pixels.samples[10:50, 30:61] = 200
        stats = Enhancer(autoencoder, shifted, alpha=-0.5, mode=mode, tiles=TileOptions(size)).enhance(pixels)
        found.append((pixels.samples, stats.change, stats.transport_mse, stats.patch_nll_output))
    assert np.array_equal(found[0][0], found[1][0])
    assert found[0][1:] == found[1][1:]
    assert found[0][1].rms > 1


@pytest.mark.parametrize("image_mode", ["RGB", "CMYK", "RGBA", "I;16"])
@pytest.mark.parametrize("broken", ["encode", "decode"])
def test_values_that_are_not_finite_change_no_sample(autoencoder, transport, broken, image_mode, monkeypatch):
    at_once = getattr(type(autoencoder.network), broken)
    for value in ("inf", "nan"):
        with monkeypatch.context() as patch:
            patch.setattr(type(autoencoder.network), broken, lambda self, x, v=value: at_once(self, x) * float(v))
            pixels = Pixels.from_image(photo(64, 48, image_mode))
            before = pixels.samples.copy()
            with pytest.raises(AutoencoderError, match="not finite"):
                Enhancer(autoencoder, transport, tiles=TileOptions(32)).enhance(pixels)
        assert np.array_equal(pixels.samples, before)


def test_invisible_pixels_have_no_influence_on_the_reconstruction_error(autoencoder, transport):
    """What they are in the file is never shown, so that it must not show in the visible pixels next to them."""
    results = []
    for colour in (0, 255):
        pixels = Pixels.from_image(photo(64, 48, "RGBA"))
        pixels.alpha[:, 20:40] = 0
        pixels.samples[:, 20:40] = colour
        Enhancer(autoencoder, with_reconstruction(transport), alpha=0).enhance(pixels)
        results.append(pixels.samples[pixels.alpha > 0])
    assert np.array_equal(*results)
