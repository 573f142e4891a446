"""On a GPU all is on the GPU, and gives what it gives on the CPU: tried on one that is none (`fake_gpu`)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

import deepot
from deepot.autoencoder import DiffusersAutoencoder, as_autoencoder
from deepot.evaluation.metric_accumulator import MetricAccumulator, MetricFn
from deepot.evaluation.variants import SweepPoint, compute_variants
from deepot.inference.calibration import photo_binned_moments, photo_moments
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.inference.tile_options import TileOptions
from deepot.photo.pixels import Pixels
from deepot.restoration.restorer import Restorer
from deepot.transport.patch_operator import PatchTransport
from tests.support import fake_autoencoders as codecs
from tests.support.fake_gpu import FAKE_DEVICE, fake_gpu
from tests.support.photos import make_photo, soften

CODECS = {"exact": (codecs.smooth, TileOptions(64)), "faded": (codecs.normed, TileOptions(64, overlap=24))}
CASES = [("exact", 1), ("exact", 3), ("faded", 1)]


def placed(kind, device, dtype=torch.float32):
    return as_autoencoder(CODECS[kind][0](), kind, device=device, dtype=dtype)


@pytest.fixture(scope="module")
def maps():
    """Maps by kind of codec and number of components."""
    photos = [make_photo(seed, 96, 80) for seed in range(3)]
    return {
        (kind, components): deepot.fit_images(
            placed(kind, "cpu"), [soften(photo) for photo in photos], photos, components=components
        )
        for kind, components in CASES
    }


def both(work):
    """What work gives on the CPU and on a GPU, and what is known of the GPU."""
    here = work(torch.device("cpu"))
    with fake_gpu() as there:
        return here, work(FAKE_DEVICE), there


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("mode", list(TransportMode))
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_photo_is_transported_alike(maps, case, mode, dtype):
    def work(device):
        codec = placed(case[0], device, dtype)
        pixels = Pixels.from_image(soften(make_photo(9, 121, 99)))
        outcome = Enhancer(codec, maps[case], mode=mode, preserve=("chroma",), tiles=CODECS[case[0]][1]).enhance(pixels)
        return pixels.samples, replace(outcome, seconds={})

    (samples, outcome), (found, told), _ = both(work)
    assert outcome.n_tiles > 1
    assert told == outcome
    assert np.array_equal(found, samples)


def small_kl():
    """GroupNorm everywhere, attention in the middle; weights at random."""
    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return AutoencoderKL(**kinds, block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4).eval()


@pytest.mark.parametrize("name", ["embedded", "kl"])
def test_diffusers_autoencoders_are_alike(name):
    """Whole, and with global operations held at what they find in samples."""
    images = Pixels.from_image(make_photo(9, 96, 64)).to_rgb()

    def work(device):
        if name == "embedded":
            codec = deepot.load_autoencoder(name, device=device, dtype=torch.bfloat16)
        else:
            codec = as_autoencoder(DiffusersAutoencoder(small_kl()), name, device=device, dtype=torch.bfloat16)
        samples = images.to(device)
        latents = codec.encode(samples)
        held = codec.tiled_encoder(samples[..., :64]), codec.tiled_decoder(latents[..., :8])
        found = latents, codec.decode(latents), held[0](samples[..., 32:]), held[1](latents[..., 4:])
        return [each.cpu() for each in found]

    for here, found in zip(*both(work)[:2], strict=True):
        torch.testing.assert_close(found, here, rtol=0, atol=0)


@pytest.mark.parametrize("measure", [photo_moments, photo_binned_moments])
def test_statistics_are_alike_and_end_up_on_the_cpu(measure):
    def work(device):
        return measure(
            placed("faded", device), Pixels.from_image(make_photo(9, 121, 99)), 3, TileOptions(64, overlap=24)
        )

    here, found, _ = both(work)
    assert found.to_bytes() == here.to_bytes()
    parts = found.levels.values() if measure is photo_binned_moments else [found]
    assert {tensor.device.type for part in parts for tensor in (part.mean, part.scatter)} == {"cpu"}


def test_versions_and_their_scores_are_alike(maps, monkeypatch):
    monkeypatch.setattr("deepot.evaluation.metric_accumulator.default_device", lambda: place)
    place = torch.device("cpu")

    def work(device):
        nonlocal place
        place = device
        codec, scores = placed("exact", device), MetricAccumulator()
        sides = [Pixels.from_image(image) for image in (make_photo(9, 61, 45), soften(make_photo(9, 61, 45)))]
        found = compute_variants(
            codec, maps["exact", 1].operator_on(device), *sides, TileOptions(32).plan(codec, sides[0])
        )
        assert {tensor.device.type for tensor in vars(found).values()} == {"cpu"}
        scores.add(
            found,
            SweepPoint("detail", 0.0),
            3,
            MetricFn("tests.support.fake_autoencoders:normalised_features"),
            [MetricFn("tests.support.fake_autoencoders:MeanAbsoluteError")],
        )
        return scores.per_photo, {
            name: [each.to_bytes() for each in moments] for name, moments in scores.block_moments.items()
        }

    here, found, _ = both(work)
    assert found == here
    assert set(found[1]) == {"latents", "map 1"}


class Half(nn.Module):
    """A restorer that is a network, and needs memory: no more than some pixels at a time."""

    def __init__(self, most=2**30):
        super().__init__()
        self.share, self.most = nn.Parameter(torch.tensor([0.5])), most

    def forward(self, images):
        if images.shape[2] * images.shape[3] > self.most:
            raise torch.OutOfMemoryError
        return images * self.share


def restorer(device, **options):
    return Restorer("half", "", 1, Half(**options).requires_grad_(False).to(device), device)


def test_restorers_are_alike():
    here, found, _ = both(lambda device: restorer(device)(Pixels.from_image(make_photo(9, 1100, 1000))).samples)
    assert np.array_equal(found, here)


def test_restorers_go_on_in_smaller_tiles_where_memory_does_not_do():
    photo = Pixels.from_image(make_photo(9, 700, 300))
    wanted, small = restorer("cpu")(photo), restorer("cpu", most=260**2)
    assert np.abs(small(photo).samples.astype(int) - wanted.samples).max() <= 1
    assert small.window == 1024, "the next photo must start with the same tiles"
    with pytest.raises(torch.OutOfMemoryError):
        restorer("cpu", most=100**2)(photo)
    whole = replace(small, tiled=False, window=1024)
    with pytest.raises(torch.OutOfMemoryError):
        whole(photo)


class Short(codecs.Smooth):
    """An autoencoder whose memory does not do at some of its calls."""

    def __init__(self, *calls):
        super().__init__()
        self.calls, self.number = calls, 0

    def _count(self):
        self.number += 1
        if self.number in self.calls:
            raise torch.OutOfMemoryError

    def encode(self, images):
        self._count()
        return super().encode(images)

    def decode(self, latents):
        self._count()
        return super().decode(latents)


def short(device, *calls):
    """Calls count from the first after loading, which is one itself."""
    codec = as_autoencoder(Short(*(1 + call for call in calls)), "exact", device=device, dtype=torch.float32)
    return replace(codec, sha256=placed("exact", "cpu").sha256)


def test_photos_go_on_in_smaller_tiles_where_memory_does_not_do(maps):
    """With the first samples: what had been added before memory was short is taken back."""
    image, tiles = soften(make_photo(9, 300, 160)), TileOptions(128)
    whole = Pixels.from_image(image)
    count = Enhancer(placed("exact", "cpu"), maps["exact", 1], tiles=tiles).enhance(whole).n_tiles
    assert count >= 3
    for calls, size in (((1,), 64), ((count + 4,), 64), ((1, 2), 32)):
        with fake_gpu():
            enhancer, part = (
                Enhancer(short(FAKE_DEVICE, *calls), maps["exact", 1], tiles=tiles),
                Pixels.from_image(image),
            )
            assert enhancer.enhance(part).n_tiles > count
        assert enhancer.tiles.size == size, "the next photo need not try"
        assert np.abs(part.samples.astype(int) - whole.samples).max() <= 1
    with fake_gpu(), pytest.raises(torch.OutOfMemoryError):
        Enhancer(short(FAKE_DEVICE, *range(1, 9)), maps["exact", 1], tiles=tiles).enhance(Pixels.from_image(image))
    with pytest.raises(torch.OutOfMemoryError):
        Enhancer(short("cpu", 1), maps["exact", 1], tiles=tiles).enhance(Pixels.from_image(image))


def test_statistics_go_on_in_smaller_tiles_where_memory_does_not_do():
    photo = Pixels.from_image(make_photo(9, 121, 99))
    wanted, found = (
        photo_moments(codec, photo, 3, TileOptions(64)) for codec in (placed("exact", "cpu"), short("cpu", 2))
    )
    assert found.count == wanted.count
    torch.testing.assert_close(found.scatter, wanted.scatter, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", CODECS)
def test_what_goes_over_is_little(maps, kind):
    """Photos go to the GPU in 8 bits, tile by tile, and their changes come back once, in float32; it waits little."""
    pixels, tiles = Pixels.from_image(soften(make_photo(9, 320, 320))), CODECS[kind][1]

    def work(device):
        codec = placed(kind, device)
        return Enhancer(codec, maps[kind, 1], tiles=tiles).enhance(pixels).n_tiles, tiles.plan(
            codec, pixels
        ).compute_ratio

    _, (count, work_share), there = both(work)
    assert there.bytes_copied["from"] == 4 * pixels.samples.size
    assert there.bytes_copied["to"] < 1.2 * work_share * pixels.samples.size
    assert there.n_syncs <= 2 * count + 8


def test_a_mistake_shows():
    """The GPU that is none refuses what CUDA refuses, and convolves as cuDNN does."""
    values = torch.rand(1, 1, 5, 5)
    with fake_gpu():
        moved = values.to(FAKE_DEVICE)
        for mistake in (lambda: moved + values, lambda: moved.numpy(), lambda: values[moved > 0]):
            with pytest.raises(RuntimeError):
                mistake()
        with pytest.raises(RuntimeError, match="same device"):
            PatchTransport(torch.eye(9), torch.zeros(9), 3)(moved)
        assert (moved.cpu() + values).device.type == "cpu"
        assert torch.equal(moved[moved > 0].cpu(), values.flatten())
        kernel = torch.full((1, 1, 1, 1), 1 / 3)
        convolved = nn.functional.conv2d(moved, kernel.to(FAKE_DEVICE)).cpu()
        assert 1e-5 < (convolved - values / 3).abs().max() < 1e-3
