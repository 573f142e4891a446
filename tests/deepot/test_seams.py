"""Tiles leave no seams on ramps, where the eye sees every one, and panoramas go through bounded memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import deepot
from deepot.codec import as_codec
from deepot.enhance import Enhancer, Mode, Tiles
from deepot.pixels import Pixels
from tests import codecs
from tests.photos import picture, soft

PANORAMA = """
import resource, sys
import numpy as np, torch
import deepot
from deepot.codec import as_codec
from deepot.enhance import Enhancer
from deepot.pixels import Pixels
from tests import codecs
from tests.photos import picture, soft

codec = as_codec(codecs.blocks(), "blocks", dtype=torch.float32, device="cpu")
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

    from deepot.autoencoders import DiffusersAutoencoder

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
    Enhancer(codec, transport, mode=Mode.RESIDUAL, tiles=tiles).enhance(pixels)
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
    codec = as_codec(codecs.smooth(), "smooth", dtype=torch.float32, device="cpu")
    transport = deepot.fit_images(codec, [soft(picture(0, 96, 96))], [picture(0, 96, 96)])
    whole, _ = change(codec, transport, Tiles(4096), 512)
    tiled, plan = change(codec, transport, Tiles(128), 512)
    assert plan.count > 9
    assert np.abs(tiled - whole).max() < 1 / 64
    assert across_borders(tiled, plan, 2) == pytest.approx(across_borders(whole, plan, 2), rel=0.01)


def test_with_global_operations_tiles_are_faded_into_each_other():
    """GroupNorm and attention see a tile alone, so its tone differs; it must change slowly, not at a line."""
    codec = as_codec(kl(), "kl", dtype=torch.float32, device="cpu")
    transport = deepot.fit_images(codec, [soft(picture(0, 96, 96))], [picture(0, 96, 96)], patch_size=1)
    ratios = {}
    for overlap in (0, 48):
        found, plan = change(codec, transport, Tiles(160, overlap), 288)
        assert plan.count > 1
        ratios[overlap] = across_borders(ramps(288) + found, plan, codec.factor)
    assert ratios[48] <= 1.1
    assert ratios[0] > 3, "cut hard, the same tiles show"


def test_a_panorama_needs_bounded_memory():
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", PANORAMA], capture_output=True, text=True, check=True, timeout=120)
    tiles, megabytes = map(int, done.stdout.split())
    assert tiles > 4
    samples = 160 * 60_000 * 3 * 4 // 2**20  # as float32, 110 MB
    assert megabytes < 4 * samples
