"""Mixing with a companion is x* + (α − 1) · w · (c − x*) in every mode, and lowers the error the most at α = 2."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import deepot
from deepot.inference.companion import mix_companion
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.photo.pixels import LUMA_WEIGHTS, Pixels
from tests.support.photos import make_photo, soften

WEIGHT = 0.4


def add_noise(image, seed):
    """What a restorer that invents detail returns: a noisy photo."""
    samples = np.asarray(image).astype(float) + np.random.default_rng(seed).normal(0, 20, np.asarray(image).shape)
    return Image.fromarray(samples.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def photos():
    """Clean photos, what a restorer gets of them, and what it returns."""
    clean = [make_photo(seed, 64, 48, noise=4) for seed in range(4)]
    inputs = [soften(image) for image in clean]
    return clean, inputs, [add_noise(image, seed) for seed, image in enumerate(inputs)]


@pytest.fixture(scope="module")
def companion_map(autoencoder, photos):
    clean, inputs, restored = photos
    return deepot.fit_images(autoencoder, restored, clean, companions=inputs)


def with_weight(transport, weight=WEIGHT):
    """The map with another weight of the companion."""
    companion = replace(transport.change.companion, weight=weight)
    return replace(transport, change=replace(transport.change, companion=companion))


def in_mode(image, mode):
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.convert(mode)


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_enhancer_mixes_the_photo_with_its_companion_in_its_own_bit_depth(
    autoencoder, companion_map, photos, mode, alpha
):
    _, inputs, restored = photos
    image, companion = in_mode(restored[0], mode), in_mode(inputs[0], mode)
    before, other = (np.asarray(each).astype(float) for each in (image, companion))
    result = Enhancer(autoencoder, with_weight(companion_map), alpha=alpha)(image, companion)
    assert result.mode == image.mode
    expected = before + (alpha - 1) * WEIGHT * (other - before)
    assert np.abs(np.asarray(result) - expected).max() <= 0.5 + 0.01 * (mode == "I;16")
    assert alpha != 1 or np.array_equal(np.asarray(result), np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "I;16"])
def test_companion_of_another_mode_is_mixed_as_it_looks(mode):
    image, companion = in_mode(make_photo(1), mode), make_photo(2)
    if mode.endswith("A"):
        image.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda value: max(0, value - 99)))
    pixels, other = Pixels.from_image(image), Pixels.from_image(companion)
    before, samples = pixels.to_rgb(), pixels.samples.copy()
    mix_companion(pixels, other, 0.5)
    visible = np.ones(before.shape[2:], bool) if pixels.alpha is None else pixels.alpha > 0
    np.testing.assert_array_equal(pixels.samples[~visible], samples[~visible])
    delta = 0.5 * (other.to_rgb() - before)
    if pixels.samples.shape[2] == 1:
        delta = (delta * torch.tensor(LUMA_WEIGHTS)[:, None, None]).sum(1, keepdim=True)
    found, expected = (each[0].numpy()[:, visible] for each in (pixels.to_rgb(), (before + delta).clamp(0, 1)))
    # without a profile, CMYK changes in C, M and Y, in steps of up to 1 / 255
    assert np.abs(found - expected).max() <= (1 if mode == "CMYK" else 0.51) / 255


def test_mixing_in_strips_is_mixing_at_once(monkeypatch):
    whole, parts = (Pixels.from_image(make_photo(1)) for _ in range(2))
    mix_companion(whole, Pixels.from_image(make_photo(2)), 0.3)
    monkeypatch.setattr("deepot.inference.companion._STRIP_PIXELS", 100)
    mix_companion(parts, Pixels.from_image(make_photo(2)), 0.3)
    np.testing.assert_array_equal(whole.samples, parts.samples)


def test_alpha_two_has_the_least_error_on_the_calibration_pairs(autoencoder, companion_map, photos):
    clean, inputs, restored = photos
    errors = {}
    for alpha in (0.0, 0.5, 1.0, 1.5, 2.0):
        enhancer = Enhancer(autoencoder, companion_map, alpha=alpha)
        results = [enhancer(*pair) for pair in zip(restored, inputs, strict=True)]
        squares = [
            np.square(np.asarray(one, float) - np.asarray(other, float))
            for one, other in zip(results, clean, strict=True)
        ]
        errors[alpha] = float(np.mean(squares)) / 255**2
    assert min(errors, key=errors.get) == 2
    curve = companion_map.change.curves["auto"]
    assert curve.min_error_alpha == pytest.approx(2)
    assert Enhancer(autoencoder, companion_map, alpha="min-error").alpha == pytest.approx(2)
    for alpha in (1.0, 1.5, 2.0):
        assert errors[alpha] == pytest.approx(curve.mse(alpha), rel=0.02)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_companions_change_nothing_up_to_the_restored_photo(autoencoder, companion_map, photos, alpha):
    clean, inputs, restored = photos
    without = deepot.fit_images(autoencoder, restored, clean)
    expected = Enhancer(autoencoder, without, alpha=alpha)(restored[0])
    enhancer = Enhancer(autoencoder, companion_map, alpha=alpha)
    assert enhancer(restored[0], inputs[0]) == enhancer(restored[0]) == expected


@pytest.mark.parametrize("mode", list(TransportMode))
def test_output_mode_does_not_matter_above_the_restored_photo(autoencoder, companion_map, photos, mode):
    _, inputs, restored = photos
    expected = Enhancer(autoencoder, companion_map, alpha=1.5)(restored[0], inputs[0])
    assert Enhancer(autoencoder, companion_map, alpha=1.5, mode=mode)(restored[0], inputs[0]) == expected


def test_preserved_chroma_changes_luma_only(autoencoder, companion_map, photos):
    _, _, restored = photos
    other = Image.new("RGB", restored[0].size, (250, 10, 30))
    enhancer = Enhancer(autoencoder, with_weight(companion_map), alpha=2, preserve="chroma")
    change = np.asarray(enhancer(restored[0], other), int) - np.asarray(restored[0], int)
    inside = ((np.asarray(restored[0]) > 60) & (np.asarray(restored[0]) < 195)).all(2)
    assert np.ptp(change[inside], axis=1).max() <= 1


def test_measurements_are_those_of_the_restored_photo(autoencoder, companion_map, photos):
    _, inputs, restored = photos
    found = [
        Enhancer(autoencoder, companion_map, alpha=alpha).enhance(Pixels.from_image(restored[0]), companion)
        for alpha, companion in ((1, None), (2, Pixels.from_image(inputs[0])))
    ]
    assert len({(each.transport_mse, each.patch_nll, each.patch_nll_output, each.n_tiles) for each in found}) == 1


def test_enhancer_above_one_needs_the_companion_that_its_map_has(autoencoder, companion_map, transport, photos):
    _, inputs, restored = photos
    enhancer = Enhancer(autoencoder, companion_map, alpha=1.5)
    with pytest.raises(ValueError, match=r"alpha is 1\.5, .*give the companion, or an alpha up to 1"):
        enhancer(restored[0])
    with pytest.raises(ValueError, match="the companion has 32 × 24 pixels, the restored photo 64 × 48"):
        enhancer(restored[0], inputs[0].resize((32, 24)))
    with pytest.raises(ValueError, match="the map was fitted without companions"):
        Enhancer(autoencoder, transport, alpha=1.5)(restored[0], inputs[0])


def test_fit_images_refuses_companions_that_do_not_fit(autoencoder, photos):
    clean, inputs, restored = photos
    with pytest.raises(ValueError, match="there are 3 companions of 4 restored images"):
        deepot.fit_images(autoencoder, restored, clean, companions=inputs[1:])
    with pytest.raises(ValueError, match=r"companions need the clean originals .* but calibration is 'unpaired'"):
        deepot.fit_images(autoencoder, restored, clean, companions=inputs, calibration=deepot.CalibrationKind.UNPAIRED)
    with pytest.raises(ValueError, match=r"companions\[0\] \(32 × 24 pixels\) is not of the size of restored\[0\]"):
        deepot.fit_images(autoencoder, restored, clean, companions=[image.resize((32, 24)) for image in inputs])


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_enlarge_is_bicubic_as_in_pillow(mode):
    image = make_photo(1).convert(mode)
    found = Pixels.from_image(image).resize(72, 96).samples
    expected = np.asarray(image.resize((96, 72), Image.Resampling.BICUBIC)).reshape(found.shape)
    assert np.abs(found.astype(int) - expected).max() <= 2, "Pillow rounds between its two passes"


def test_enlarge_keeps_16_bits_and_the_size_that_a_photo_has():
    pixels = Pixels.from_image(in_mode(make_photo(1), "I;16"))
    assert pixels.resize(pixels.height, pixels.width) is pixels
    large = pixels.resize(2 * pixels.height, 2 * pixels.width).samples
    assert large.dtype == np.uint16
    assert np.any(large % 257), "samples between those of 8 bits"


def test_enlarge_mixes_no_colour_of_invisible_pixels_into_visible_ones():
    samples = np.full((16, 16, 3), 100, np.uint8)
    alpha = np.full((16, 16), 255, np.uint8)
    samples[:, 8:], alpha[:, 8:] = 255, 0
    large = Pixels(samples, alpha).resize(32, 32)
    assert large.alpha is None
    assert (large.samples == 100).all()
