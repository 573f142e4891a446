"""Tiles leave no seams on ramps, where the eye sees every one, and panoramas go through bounded memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import deepot
from deepot.autoencoder import as_autoencoder
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.inference.tile_options import TileOptions
from deepot.photo.pixels import Pixels
from deepot.tiling import TilePlan
from tests.support import fake_autoencoders as codecs
from tests.support.photos import make_photo, soften

PANORAMA = """
import resource, sys
import numpy as np, torch
import deepot
from deepot.autoencoder import as_autoencoder
from deepot.inference.enhancer import Enhancer
from deepot.photo.pixels import Pixels
from tests.support import fake_autoencoders as codecs
from tests.support.photos import make_photo as picture, soften as soft

codec = as_autoencoder(codecs.blocks(), "blocks", dtype=torch.float32, device="cpu")
transport = deepot.fit_images(codec, [soft(picture(0, 96, 96))], [picture(0, 96, 96)], patch_size=1)
enhancer = Enhancer(codec, transport, mode="residual")
enhancer.enhance(Pixels(np.zeros((64, 64, 3), np.uint8)))
pixels = Pixels(np.zeros((160, 60_000, 3), np.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
outcome = enhancer.enhance(pixels)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(outcome.n_tiles, (after - before) // 1024)
"""


def ramps(side):
    y, x = np.mgrid[:side, :side] / side
    return np.stack([30 + 180 * x, 30 + 180 * y, 40 + 80 * (x + y)], -1)


def kl():
    from diffusers import AutoencoderKL

    from deepot.autoencoder import DiffusersAutoencoder

    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
    model = AutoencoderKL(
        **kinds, block_out_channels=(8, 16, 16), latent_channels=4, norm_num_groups=4, layers_per_block=1
    )
    assert model.encoder.mid_block.attentions[0] is not None
    return DiffusersAutoencoder(model.eval().requires_grad_(False))


def change(codec, transport, tiles, side):
    """What the method changes of ramps, in 8-bit steps (H, W, 3), and its plan."""
    samples = np.rint(ramps(side) * 257).astype(np.uint16)
    pixels = Pixels(samples.copy())
    Enhancer(codec, transport, mode=TransportMode.RESIDUAL, tiles=tiles).enhance(pixels)
    return (pixels.samples.astype(float) - samples) / 257, tiles.plan(codec, pixels)


def across_borders(found, plan, factor):
    """Largest mean difference of neighbouring columns or rows where tiles meet, over the mean one elsewhere."""
    ratios = []
    for axis, spans in ((1, plan.columns), (0, plan.rows)):
        steps = np.abs(np.diff(found, axis=axis)).mean((1 - axis, 2))
        near = np.zeros(len(steps), bool)
        for span in spans[1:]:
            start = span.keep * factor
            near[start - factor : start + (span.fade_in + 1) * factor] = True
        if near.any():
            ratios.append(steps[near].max() / steps[~near].mean())
    return max(ratios)


def test_with_a_bounded_receptive_field_tiles_are_exact():
    codec = as_autoencoder(codecs.smooth(), "smooth", dtype=torch.float32, device="cpu")
    transport = deepot.fit_images(codec, [soften(make_photo(0, 96, 96))], [make_photo(0, 96, 96)])
    whole, _ = change(codec, transport, TileOptions(4096), 512)
    tiled, plan = change(codec, transport, TileOptions(128), 512)
    assert plan.count > 9
    assert np.abs(tiled - whole).max() < 1 / 64
    assert across_borders(tiled, plan, 2) == pytest.approx(across_borders(whole, plan, 2), rel=0.01)


def alone(network, work, samples):
    """In place of `settled`: every tile has a mean, variance, keys and values of its own."""
    return work


def test_with_global_operations_tiles_do_not_show(monkeypatch):
    codec = as_autoencoder(kl(), "kl", dtype=torch.float32, device="cpu")
    transport = deepot.fit_images(codec, [soften(make_photo(0, 64, 64))], [make_photo(0, 64, 64)], patch_size=1)
    ratios = {}
    for way, overlap in (("settled", 48), ("cut", 0)):
        if way == "cut":
            monkeypatch.setattr("deepot.autoencoder.loaded.with_shared_statistics", alone)
        found, plan = change(codec, transport, TileOptions(160, overlap), 288)
        assert plan.count > 1
        ratios[way] = across_borders(ramps(288) + found, plan, codec.factor)
    assert ratios["settled"] <= 1.1
    assert ratios["cut"] > 3, "cut hard, tiles that are alone show"


def test_tiles_agree_as_far_as_the_receptive_field_reaches():
    """With the same samples, whatever the tiles: no place of the result depends on which tile it lies in."""
    codec = as_autoencoder(kl(), "kl", dtype=torch.float32, device="cpu")
    assert codec.halo is None
    transport = deepot.fit_images(codec, [soften(make_photo(0, 64, 64))], [make_photo(0, 64, 64)], patch_size=1)
    samples = TileOptions(256).plan(codec, Pixels(np.zeros((272, 400, 3), np.uint8))).probe_windows()
    results = []
    for size in (256, 310):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TilePlan, "samples", lambda plan: samples)
            pixels = Pixels(np.rint(ramps(400)[:272] * 257).astype(np.uint16))
            assert (
                Enhancer(codec, transport, mode=TransportMode.RESIDUAL, tiles=TileOptions(size)).enhance(pixels).n_tiles
                > 1
            )
        results.append(pixels.samples.astype(int))
    assert np.abs(results[0] - results[1]).max() < 257 / 16, "of 257 a step of 8 bits"


def test_global_operations_held_at_samples_are_close_to_those_of_the_whole(monkeypatch):
    """A tile alone has another tone than the image in one piece has there."""
    codec = as_autoencoder(codecs.normed(), "normed", dtype=torch.float32, device="cpu")
    transport = deepot.fit_images(codec, [soften(make_photo(0, 96, 96))], [make_photo(0, 96, 96)])
    whole, _ = change(codec, transport, TileOptions(4096), 288)
    apart = []
    for _ in ("settled", "alone"):
        found, plan = change(codec, transport, TileOptions(96, 24), 288)
        apart.append(np.sqrt(np.square(found - whole).mean()))
        monkeypatch.setattr("deepot.autoencoder.loaded.with_shared_statistics", alone)
    assert plan.count > 9
    assert apart[0] < 0.4 * apart[1], apart


def test_a_panorama_needs_bounded_memory():
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", PANORAMA], capture_output=True, text=True, check=True, timeout=120)
    tiles, megabytes = map(int, done.stdout.split())
    assert tiles > 4
    samples = 160 * 60_000 * 3 * 4 // 2**20  # as float32, 110 MB
    assert megabytes < 3 * samples
