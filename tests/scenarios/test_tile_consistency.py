"""Tiles leave no seams on smooth ramps, and panoramas need bounded memory."""

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
from tests.support import fake_autoencoders
from tests.support.photos import make_photo, soften

PANORAMA = """
import resource, sys
import numpy as np, torch
import deepot
from deepot.autoencoder import as_autoencoder
from deepot.inference.enhancer import Enhancer
from deepot.photo.pixels import Pixels
from tests.support import fake_autoencoders
from tests.support.photos import make_photo, soften

autoencoder = as_autoencoder(fake_autoencoders.blocks(), "blocks", dtype=torch.float32, device="cpu")
transport = deepot.fit_images(autoencoder, [soften(make_photo(0, 96, 96))], [make_photo(0, 96, 96)], patch_size=1)
enhancer = Enhancer(autoencoder, transport, mode="residual")
enhancer.enhance(Pixels(np.zeros((64, 64, 3), np.uint8)))
pixels = Pixels(np.zeros((160, 60_000, 3), np.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
stats = enhancer.enhance(pixels)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(stats.n_tiles, (after - before) // 1024)
"""


def ramps(side):
    y, x = np.mgrid[:side, :side] / side
    return np.stack([30 + 180 * x, 30 + 180 * y, 40 + 80 * (x + y)], -1)


def kl():
    from diffusers import AutoencoderKL

    from deepot.autoencoder import DiffusersAutoencoder

    torch.manual_seed(0)
    block_types = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
    model = AutoencoderKL(
        **block_types, block_out_channels=(8, 16, 16), latent_channels=4, norm_num_groups=4, layers_per_block=1
    )
    assert model.encoder.mid_block.attentions[0] is not None
    return DiffusersAutoencoder(model.eval().requires_grad_(False))


def enhance_ramps(autoencoder, transport, tiles, side):
    """Return the change that the enhancer makes to ramps, (H, W, 3) on the 0–255 scale, and the tile plan."""
    samples = np.rint(ramps(side) * 257).astype(np.uint16)
    pixels = Pixels(samples.copy())
    Enhancer(autoencoder, transport, mode=TransportMode.RESIDUAL, tiles=tiles).enhance(pixels)
    return (pixels.samples.astype(float) - samples) / 257, tiles.plan(autoencoder, pixels)


def seam_visibility(image, plan, factor):
    """Return the largest mean step between columns or rows where tiles meet, relative to the mean step elsewhere."""
    ratios = []
    for axis, spans in ((1, plan.columns), (0, plan.rows)):
        steps = np.abs(np.diff(image, axis=axis)).mean((1 - axis, 2))
        near = np.zeros(len(steps), bool)
        for span in spans[1:]:
            start = span.keep_start * factor
            near[start - factor : start + (span.fade_in + 1) * factor] = True
        if near.any():
            ratios.append(steps[near].max() / steps[~near].mean())
    return max(ratios)


def test_tiles_of_a_local_autoencoder_are_exact():
    autoencoder = as_autoencoder(fake_autoencoders.smooth(), "smooth", dtype=torch.float32, device="cpu")
    transport = deepot.fit_images(autoencoder, [soften(make_photo(0, 96, 96))], [make_photo(0, 96, 96)])
    full, _ = enhance_ramps(autoencoder, transport, TileOptions(4096), 512)
    tiled, plan = enhance_ramps(autoencoder, transport, TileOptions(128), 512)
    assert plan.count > 9
    assert np.abs(tiled - full).max() < 1 / 64
    assert seam_visibility(tiled, plan, 2) == pytest.approx(seam_visibility(full, plan, 2), rel=0.01)


def without_shared_statistics(network, function, probes):
    """Replaces `with_shared_statistics`: every tile has its own mean, variance, keys and values."""
    return function


def test_tiles_of_an_autoencoder_with_global_operations_leave_no_visible_seams(monkeypatch):
    autoencoder = as_autoencoder(kl(), "kl", dtype=torch.float32, device="cpu")
    transport = deepot.fit_images(autoencoder, [soften(make_photo(0, 64, 64))], [make_photo(0, 64, 64)], patch_size=1)
    ratios = {}
    for kind, overlap in (("shared statistics", 48), ("hard cuts", 0)):
        if kind == "hard cuts":
            monkeypatch.setattr("deepot.autoencoder.loaded.with_shared_statistics", without_shared_statistics)
        change, plan = enhance_ramps(autoencoder, transport, TileOptions(160, overlap), 288)
        assert plan.count > 1
        ratios[kind] = seam_visibility(ramps(288) + change, plan, autoencoder.factor)
    assert ratios["shared statistics"] <= 1.1
    assert ratios["hard cuts"] > 2, "independent tiles with hard cuts must show"


def test_tiles_of_any_size_agree_if_their_statistics_come_from_the_same_probes():
    """No position of the result may depend on the tile that it lies in."""
    autoencoder = as_autoencoder(kl(), "kl", dtype=torch.float32, device="cpu")
    assert autoencoder.halo is None
    transport = deepot.fit_images(autoencoder, [soften(make_photo(0, 64, 64))], [make_photo(0, 64, 64)], patch_size=1)
    probes = TileOptions(256).plan(autoencoder, Pixels(np.zeros((272, 400, 3), np.uint8))).probe_windows()
    results = []
    for size in (256, 310):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TilePlan, "probe_windows", lambda plan: probes)
            pixels = Pixels(np.rint(ramps(400)[:272] * 257).astype(np.uint16))
            assert (
                Enhancer(autoencoder, transport, mode=TransportMode.RESIDUAL, tiles=TileOptions(size))
                .enhance(pixels)
                .n_tiles
                > 1
            )
        results.append(pixels.samples.astype(int))
    assert np.abs(results[0] - results[1]).max() < 257 / 16, "a sixteenth of an 8-bit step"


def test_shared_statistics_are_close_to_those_of_the_full_image(monkeypatch):
    """A tile with statistics of its own has another tone than the full image has at that place."""
    autoencoder = as_autoencoder(fake_autoencoders.normed(), "normed", dtype=torch.float32, device="cpu")
    transport = deepot.fit_images(autoencoder, [soften(make_photo(0, 96, 96))], [make_photo(0, 96, 96)])
    full, _ = enhance_ramps(autoencoder, transport, TileOptions(4096), 288)
    errors = []
    for _ in ("shared statistics", "independent tiles"):
        change, plan = enhance_ramps(autoencoder, transport, TileOptions(96, 24), 288)
        errors.append(np.sqrt(np.square(change - full).mean()))
        monkeypatch.setattr("deepot.autoencoder.loaded.with_shared_statistics", without_shared_statistics)
    assert plan.count > 9
    assert errors[0] < 0.4 * errors[1], errors


def test_enhancing_a_panorama_needs_bounded_memory():
    pytest.importorskip("resource")
    process = subprocess.run([sys.executable, "-c", PANORAMA], capture_output=True, text=True, check=True, timeout=250)
    n_tiles, megabytes = map(int, process.stdout.split())
    assert n_tiles > 4
    photo_megabytes = 160 * 60_000 * 3 * 4 // 2**20  # as float32
    assert megabytes < 3 * photo_megabytes
