"""Variants of photos equal what the Enhancer makes."""

from dataclasses import replace

import pytest
import torch

from deepot import Enhancer
from deepot.autoencoder import as_autoencoder
from deepot.evaluation.sweep import CLEAN, CLEAN_RECONSTRUCTION, RESTORED, RESTORED_RECONSTRUCTION, SweepPoint
from deepot.evaluation.variants import compute_variants
from deepot.inference.image_fitting import fit_images
from deepot.inference.modes import Preserve, TransportMode
from deepot.inference.tile_options import TileOptions
from deepot.photo.pixels import Pixels
from tests.deepot.inference.test_enhancer import with_reconstruction
from tests.support import fake_autoencoders
from tests.support.photos import make_photo, soften


@pytest.mark.parametrize("mode", list(TransportMode))
@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.3, 1.0, 1.5])
@pytest.mark.parametrize("tile", [1024, 32])
@pytest.mark.parametrize("preserve", [(), (Preserve.CHROMA,)])
def test_render_equals_what_the_enhancer_writes(
    smooth_autoencoder, sharpening_map, make_variants, mode, alpha, tile, preserve
):
    tiles = TileOptions(tile)
    enhancer = Enhancer(smooth_autoencoder, sharpening_map, alpha=alpha, mode=mode, preserve=preserve, tiles=tiles)
    expected = Pixels.from_image(enhancer(soften(make_photo(9, 61, 45)))).to_rgb()
    found = make_variants(9, tiles).render(SweepPoint(mode.value, alpha), preserve)
    assert (found - expected).abs().max() < 1e-6


@pytest.mark.parametrize("tile", [1024, 32])
def test_render_with_the_reconstruction_error_equals_what_the_enhancer_writes(smooth_autoencoder, sharpening_map, tile):
    transport, tiles = with_reconstruction(sharpening_map), TileOptions(tile)
    clean = make_photo(9, 61, 45)
    pixels = [Pixels.from_image(image) for image in (clean, soften(clean))]
    plan, gains = tiles.plan(smooth_autoencoder, pixels[0]), transport.change.gains
    variants = compute_variants(smooth_autoencoder, transport.operator_on(), *pixels, plan, gains=gains)
    expected = Pixels.from_image(Enhancer(smooth_autoencoder, transport, tiles=tiles)(soften(clean))).to_rgb()
    assert (variants.render(SweepPoint("auto", 0.5)) - expected).abs().max() < 1e-6
    without = Pixels.from_image(Enhancer(smooth_autoencoder, sharpening_map, tiles=tiles)(soften(clean))).to_rgb()
    assert (without - expected).abs().max() > 2 / 255


@pytest.mark.parametrize("mode", list(TransportMode))
def test_render_in_tiles_with_global_operations_equals_the_enhancer(mode):
    autoencoder = as_autoencoder(fake_autoencoders.normed(), "normed", dtype=torch.float32, device="cpu")
    photos = [make_photo(seed) for seed in range(4)]
    transport = fit_images(autoencoder, [soften(photo) for photo in photos], photos, patch_size=1)
    tiles = TileOptions(64, overlap=24)
    clean = make_photo(9, 301, 245)
    pixels = [Pixels.from_image(image) for image in (clean, soften(clean))]
    plan = tiles.plan(autoencoder, pixels[0])
    assert plan.count > 1
    enhancer = Enhancer(autoencoder, transport, alpha=0, mode=mode, tiles=tiles)
    expected = Pixels.from_image(enhancer(soften(clean))).to_rgb()
    variants = compute_variants(autoencoder, transport.operator_on(), *pixels, plan, gains=transport.change.gains)
    found = variants.render(SweepPoint(mode.value, 0.0))
    assert (found - expected).abs().max() < 0.5 / 255


def test_render_of_controls_equals_photos_and_reconstructions(smooth_autoencoder, make_variants):
    variants = make_variants(9)
    clean = Pixels.from_image(make_photo(9, 61, 45)).to_rgb()
    restored = Pixels.from_image(soften(make_photo(9, 61, 45))).to_rgb()
    assert torch.equal(variants.render(SweepPoint(CLEAN)), clean)
    assert torch.equal(variants.render(SweepPoint(RESTORED)), restored)
    for name, start in ((RESTORED_RECONSTRUCTION, restored), (CLEAN_RECONSTRUCTION, clean)):
        padded = torch.nn.functional.pad(start, (0, 1, 0, 1), mode="replicate")
        expected = smooth_autoencoder.decode(smooth_autoencoder.encode(padded))[..., :45, :61].clamp(0, 1)
        assert (variants.render(SweepPoint(name)) - expected).abs().max() < 0.51 / 255
    torch.testing.assert_close(variants.latents_of(SweepPoint("residual", 0.0)), variants.transported_latents)
    torch.testing.assert_close(variants.latents_of(SweepPoint("plain", 1.0)), variants.latents)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("preserve", [(), (Preserve.CHROMA,)])
def test_render_with_a_companion_equals_what_the_enhancer_writes(smooth_autoencoder, alpha, preserve):
    photos = [make_photo(seed) for seed in range(5)]
    restored, companions = [soften(photo) for photo in photos], [make_photo(seed + 9) for seed in range(5)]
    transport = fit_images(smooth_autoencoder, restored[:4], photos[:4], companions=companions[:4])
    change = replace(transport.change, companion=replace(transport.change.companion, weight=0.4))
    transport = replace(transport, change=change)
    enhancer = Enhancer(smooth_autoencoder, transport, alpha=alpha, preserve=preserve)
    expected = Pixels.from_image(enhancer(restored[4], companions[4])).to_rgb()
    clean, *pixels, companion = map(Pixels.from_image, (photos[4], restored[4], companions[4]))
    plan = TileOptions().plan(smooth_autoencoder, clean)
    variants = compute_variants(
        *(smooth_autoencoder, transport.operator_on(), clean, *pixels, plan, None, change.gains),
        companion=companion,
        companion_weight=0.4,
    )
    assert (variants.render(SweepPoint("auto", alpha), preserve) - expected).abs().max() < 1e-6
    if alpha == 2:
        encoded = smooth_autoencoder.encode(companion.to_rgb())
        mixed = 0.6 * variants.latents + 0.4 * encoded
        torch.testing.assert_close(variants.latents_of(SweepPoint("auto", alpha)), mixed, atol=1e-5, rtol=1e-5)
