"""What is added to a photo: nothing where it is constant, no change of cell means in detail mode, tone with α."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import deepot
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.inference.tile_options import TileOptions
from deepot.photo.pixels import Pixels
from deepot.transport.tone import LEVELS, ToneCurve
from tests.deepot.inference.test_enhancer import photo, with_target

FACTOR = 2


def with_tone(transport, shift):
    """The map with a tone curve that adds the same to every level."""
    return replace(transport, tone=ToneCurve(torch.full((3, LEVELS), float(shift)).double(), 1.0, 0.5, 0.1))


def cell_means(samples, factor=FACTOR):
    height, width = (side // factor * factor for side in samples.shape[:2])
    cells = samples[:height, :width].astype(float).reshape(height // factor, factor, width // factor, factor, -1)
    return cells.mean((1, 3))


def framed(mode="RGB", frame=0):
    """A photo in a frame of one value, 20 pixels wide, and a mask of the frame."""
    image = photo(120, 100, mode)
    array = np.asarray(image).copy()
    inside = np.zeros(array.shape[:2], bool)
    inside[20:-20, 20:-20] = True
    array[~inside] = frame
    return Image.fromarray(array), ~inside


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
@pytest.mark.parametrize("output", [TransportMode.AUTO, TransportMode.DETAIL, TransportMode.RESIDUAL])
@pytest.mark.parametrize("frame", [0, 128, 255])
def test_nothing_is_added_where_the_photo_is_constant(autoencoder, transport, mode, output, frame):
    shifted = with_tone(with_target(transport, transport.parameters["target_mean"] + 0.5), 9)
    image, constant = framed(mode, frame)
    for size in (1424, 64):
        result = Enhancer(autoencoder, shifted, mode=output, tiles=TileOptions(size))(image)
        change = np.asarray(result).astype(int) - np.asarray(image)
        assert not change[constant].any()
        assert (change[~constant] != 0).mean() > 0.5


def test_a_blank_page_stays_as_it_is(autoencoder, transport):
    page = Image.new("RGB", (97, 131), (250, 248, 240))
    shifted = with_tone(with_target(transport, transport.parameters["target_mean"] + 0.5), 9)
    assert Enhancer(autoencoder, shifted)(page) == page


@pytest.mark.parametrize("alpha", [0, 0.5, -0.5])
@pytest.mark.parametrize("kind", ["middle", "dark", "frame", "grey"])
def test_detail_mode_keeps_the_mean_of_every_cell(autoencoder, transport, alpha, kind):
    """Also where values are clipped and beside constant areas; 16 bits, so that rounding hides nothing."""
    samples = np.asarray(photo(117, 95)).astype(np.uint16) * 257
    if kind == "dark":
        samples = samples // 12
    if kind == "frame":
        samples[:, :30] = 0
    if kind == "grey":
        samples = samples[:, :, :1].copy()
    pixels = Pixels(samples.copy())
    Enhancer(
        autoencoder, with_target(transport, 1.5 * transport.parameters["target_mean"]), alpha=alpha, mode="detail"
    ).enhance(pixels)
    assert np.abs(pixels.samples.astype(int) - samples).max() > 257
    moved = np.abs(cell_means(pixels.samples) - cell_means(samples)) / 257
    assert np.quantile(moved, 0.99) < 0.01
    assert moved.max() < 1, "a cell that is clipped all over cannot keep its mean"


def test_detail_mode_keeps_cell_means_in_tiles_as_in_one_piece(autoencoder, transport):
    samples = np.asarray(photo(203, 131)).astype(np.uint16) * 257
    results = []
    for size in (1424, 64):
        pixels = Pixels(samples.copy())
        enhancer = Enhancer(autoencoder, transport, mode="detail", tiles=TileOptions(size))
        n_tiles = enhancer.enhance(pixels).n_tiles
        assert (n_tiles > 4) == (size == 64)
        moved = np.abs(cell_means(pixels.samples) - cell_means(samples)) / 257
        assert np.quantile(moved, 0.99) < 0.01
        results.append(pixels.samples.astype(int))
    assert np.abs(results[0] - results[1]).max() < 257 / 16


@pytest.mark.parametrize("mode", [TransportMode.AUTO, TransportMode.DETAIL, TransportMode.RESIDUAL])
def test_tone_is_scaled_with_the_change_and_is_gone_at_alpha_one(autoencoder, transport, mode):
    toned, image = with_tone(transport, 12), photo(96, 80)
    before = np.asarray(image).astype(float)
    middle = (before > 60) & (before < 195)
    for alpha, expected in ((0, 12), (0.5, 6), (-0.5, 18)):
        with_curve, without = (np.asarray(Enhancer(autoencoder, each, alpha=alpha, mode=mode)(image)).astype(float)
                               for each in (toned, transport))  # fmt: skip
        assert (with_curve - without)[middle].mean() == pytest.approx(expected, rel=0.25)
    assert Enhancer(autoencoder, toned, alpha=1, mode=mode)(image) == image


@pytest.mark.parametrize(("mode", "alpha"), [("detail", 0.0), ("auto", 0.5)])
def test_repeated_pattern_of_a_decoder_does_not_reach_flat_areas(embedded_autoencoder, embedded_map, mode, alpha):
    """In an area of faint noise, a map that shifts all latents draws the same pattern in each cell."""
    shifted = with_target(embedded_map, embedded_map.parameters["target_mean"] + 0.5)
    generator = np.random.default_rng(0)
    area = Image.fromarray((150 + generator.normal(0, 1, (160, 160, 3))).round().astype(np.uint8))
    result = Enhancer(embedded_autoencoder, shifted, mode=mode, alpha=alpha)(area)
    change = np.asarray(result).astype(float) - np.asarray(area)
    inside = change[48:-48, 48:-48].mean(2)
    pattern = inside.reshape(8, 8, 8, 8).mean((0, 2))
    latents = embedded_autoencoder.encode(Pixels.from_image(area).to_rgb())
    drawn = embedded_autoencoder.decode(shifted.operator_on()(latents)) - embedded_autoencoder.decode(latents)
    unfiltered = drawn[0, :, 48:-48, 48:-48].mean(0).numpy().reshape(8, 8, 8, 8).mean((0, 2)) * 255
    assert unfiltered.std() > 1, "the decoder alone draws a pattern"
    assert pattern.std() < 0.2 * unfiltered.std()


def test_fit_images_fits_a_tone_curve_to_pairs_only(autoencoder):
    natural = [photo(256, 256, seed=seed) for seed in range(4)]
    dark = [image.point(lambda value: value * 0.8) for image in natural]
    transport = deepot.fit_images(autoencoder, dark, natural, patch_size=1)
    assert transport.tone.share > 0.5
    assert deepot.TransportMap.from_bytes(transport.to_bytes()).tone.record == transport.tone.record
    unpaired = deepot.CalibrationKind.UNPAIRED
    assert deepot.fit_images(autoencoder, dark, natural, patch_size=1, calibration=unpaired).tone is None
    assert deepot.fit_images(autoencoder, dark, natural, patch_size=1, tone=False).tone is None
    wide = [image.resize((300, 256)) for image in natural]
    with pytest.warns(UserWarning, match="4 of 4 pairs differ in size"):
        assert deepot.fit_images(autoencoder, wide, natural, patch_size=1).tone.share == 0
