"""Versions of photos are what the Enhancer makes."""

import pytest
import torch

from deepot import Enhancer
from deepot.autoencoder.autoencoder import as_codec
from deepot.evaluation.variants import CLEAN, CLEAN_ROUND_TRIP, RESTORED, ROUND_TRIP, Point, sweep, versions
from deepot.inference.calibration import fit_images
from deepot.inference.modes import Keep, Mode
from deepot.inference.tile_options import Tiles
from deepot.photo.pixels import Pixels
from tests.support import fake_autoencoders as codecs
from tests.support.photos import picture, soft


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.3, 1.0, 1.5])
@pytest.mark.parametrize("tile", [1024, 32])
@pytest.mark.parametrize("keep", [(), (Keep.COLOUR,)])
def test_a_version_is_what_the_enhancer_writes(smooth, sharpening, made, mode, alpha, tile, keep):
    tiles = Tiles(tile)
    enhancer = Enhancer(smooth, sharpening, alpha=alpha, mode=mode, keep=keep, tiles=tiles)
    wanted = Pixels.from_image(enhancer(soft(picture(9, 61, 45)))).rgb()
    found = made(9, tiles).image(Point(mode.value, alpha), keep)
    assert (found - wanted).abs().max() < 1e-6


@pytest.mark.parametrize("mode", list(Mode))
def test_versions_of_an_autoencoder_with_global_operations_in_tiles(mode):
    codec = as_codec(codecs.normed(), "normed", dtype=torch.float32, device="cpu")
    photos = [picture(seed) for seed in range(4)]
    transport = fit_images(codec, [soft(photo) for photo in photos], photos, patch_size=1)
    tiles = Tiles(64, overlap=24)
    clean = picture(9, 301, 245)
    pixels = [Pixels.from_image(image) for image in (clean, soft(clean))]
    plan = tiles.plan(codec, pixels[0])
    assert plan.count > 1
    wanted = Pixels.from_image(Enhancer(codec, transport, mode=mode, tiles=tiles)(soft(clean))).rgb()
    found = versions(codec, transport.on(), *pixels, plan).image(Point(mode.value, 0.0))
    assert (found - wanted).abs().max() < 0.5 / 255


def test_controls(smooth, made):
    photo = made(9)
    clean = Pixels.from_image(picture(9, 61, 45)).rgb()
    restored = Pixels.from_image(soft(picture(9, 61, 45))).rgb()
    assert torch.equal(photo.image(Point(CLEAN)), clean)
    assert torch.equal(photo.image(Point(RESTORED)), restored)
    for name, start in ((ROUND_TRIP, restored), (CLEAN_ROUND_TRIP, clean)):
        padded = torch.nn.functional.pad(start, (0, 1, 0, 1), mode="replicate")
        wanted = smooth.decode(smooth.encode(padded))[..., :45, :61].clamp(0, 1)
        assert (photo.image(Point(name)) - wanted).abs().max() < 0.51 / 255
    torch.testing.assert_close(photo.latents_of(Point("residual", 0.0)), photo.moved_latents)
    torch.testing.assert_close(photo.latents_of(Point("plain", 1.0)), photo.latents)
    assert [str(point) for point in sweep([Mode.PLAIN], [1, 0.5, 0.5, 0])] == [
        RESTORED,
        ROUND_TRIP,
        CLEAN_ROUND_TRIP,
        "plain α=0",
        "plain α=0.5",
    ]
