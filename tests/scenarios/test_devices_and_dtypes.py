"""Everything runs on the GPU and gives what it gives on the CPU: tried on a fake GPU (`tests.support.fake_gpu`)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

import deepot
from deepot.autoencoder import DiffusersAutoencoder, as_autoencoder
from deepot.evaluation.metric_accumulator import MetricAccumulator
from deepot.evaluation.metric_fn import MetricFn
from deepot.evaluation.sweep import SweepPoint
from deepot.evaluation.variants import compute_variants
from deepot.inference.calibration import photo_moments, photo_statistics
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.inference.tile_options import TileOptions
from deepot.photo.pixels import Pixels
from deepot.restoration.restorer import Restorer
from deepot.transport.map_kinds import load_map_kind
from deepot.transport.patch_operator import PatchTransport
from tests.support import fake_autoencoders
from tests.support.fake_gpu import FAKE_DEVICE, fake_gpu
from tests.support.photos import make_photo, soften

AUTOENCODERS = {
    "exact": (fake_autoencoders.smooth, TileOptions(64)),
    "faded": (fake_autoencoders.normed, TileOptions(64, overlap=24)),
}
CASES = [("exact", "gaussian"), ("exact", "mixture:components=3"), ("faded", "gaussian")]


def load(name, device, dtype=torch.float32):
    return as_autoencoder(AUTOENCODERS[name][0](), name, device=device, dtype=dtype)


def fit_maps():
    """Return maps by autoencoder and kind of map."""
    photos = [make_photo(seed, 96, 80) for seed in range(3)]
    return {
        (name, kind): deepot.fit_images(load(name, "cpu"), [soften(photo) for photo in photos], photos, kind=kind)
        for name, kind in CASES
    }


@pytest.fixture(scope="module")
def maps():
    return fit_maps()


def run_on_both(compute):
    """Return what a function of the device gives on the CPU and on the fake GPU, and the GPU's counters."""
    on_cpu = compute(torch.device("cpu"))
    with fake_gpu() as gpu:
        return on_cpu, compute(FAKE_DEVICE), gpu


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("mode", list(TransportMode))
@pytest.mark.parametrize("case", CASES, ids=str)
def test_enhance_gives_the_same_samples_on_both_devices(maps, case, mode, dtype):
    def enhance(device):
        autoencoder, tiles = load(case[0], device, dtype), AUTOENCODERS[case[0]][1]
        pixels = Pixels.from_image(soften(make_photo(9, 121, 99)))
        stats = Enhancer(autoencoder, maps[case], mode=mode, preserve=("chroma",), tiles=tiles).enhance(pixels)
        return pixels.samples, replace(stats, seconds={})

    (expected, stats), (found, stats_on_gpu), _ = run_on_both(enhance)
    assert stats.n_tiles > 1
    assert stats_on_gpu == stats
    assert np.array_equal(found, expected)


def small_kl():
    """An AutoencoderKL with GroupNorm everywhere and attention in the middle, with random weights."""
    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return AutoencoderKL(**kinds, block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4).eval()


@pytest.mark.parametrize("name", ["embedded", "kl"])
def test_diffusers_autoencoders_give_the_same_values_on_both_devices(name):
    """At once, and in tiles that share the statistics of global operations."""
    images = Pixels.from_image(make_photo(9, 96, 64)).to_rgb()

    def compute(device):
        if name == "embedded":
            autoencoder = deepot.load_autoencoder(name, device=device, dtype=torch.bfloat16)
        else:
            autoencoder = as_autoencoder(DiffusersAutoencoder(small_kl()), name, device=device, dtype=torch.bfloat16)
        samples = images.to(device)
        latents = autoencoder.encode(samples)
        encode_tile, decode_tile = (
            autoencoder.tiled_encoder(samples[..., :64]),
            autoencoder.tiled_decoder(latents[..., :8]),
        )
        found = latents, autoencoder.decode(latents), encode_tile(samples[..., 32:]), decode_tile(latents[..., 4:])
        return [each.cpu() for each in found]

    for expected, found in zip(*run_on_both(compute)[:2], strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["gaussian", "mixture:components=3"])
def test_statistics_are_equal_on_both_devices_and_end_on_the_cpu(kind):
    def measure(device):
        photo, tiles = Pixels.from_image(make_photo(9, 121, 99)), TileOptions(64, overlap=24)
        return photo_statistics(load("faded", device), photo, load_map_kind(kind), 3, tiles)

    expected, found, _ = run_on_both(measure)
    assert found.to_bytes() == expected.to_bytes()
    moments = [found.moments(), *getattr(found, "bins", {}).values()]
    assert {tensor.device.type for each in moments for tensor in (each.mean, each.scatter)} == {"cpu"}


def test_variants_and_their_metrics_are_equal_on_both_devices(maps, monkeypatch):
    current = torch.device("cpu")
    monkeypatch.setattr("deepot.evaluation.metric_fn.default_device", lambda: current)

    def measure(device):
        nonlocal current
        current = device
        autoencoder, metrics = load("exact", device), MetricAccumulator()
        sides = [Pixels.from_image(image) for image in (make_photo(9, 61, 45), soften(make_photo(9, 61, 45)))]
        operator, plan = maps["exact", "gaussian"].operator_on(device), TileOptions(32).plan(autoencoder, sides[0])
        variants = compute_variants(autoencoder, operator, *sides, plan)
        assert {tensor.device.type for tensor in vars(variants).values()} == {"cpu"}
        features = MetricFn("tests.support.fake_metrics:normalised_features")
        errors = [MetricFn("tests.support.fake_metrics:MeanAbsoluteError")]
        metrics.add(variants, SweepPoint("detail", 0.0), 3, features, errors)
        moments = {name: [each.to_bytes() for each in blocks] for name, blocks in metrics.block_moments.items()}
        return metrics.per_photo, moments

    expected, found, _ = run_on_both(measure)
    assert found == expected
    assert set(found[1]) == {"latents", "map 1"}


class Half(nn.Module):
    """A restorer network whose memory suffices for images of at most `max_pixels`."""

    def __init__(self, max_pixels=2**30):
        super().__init__()
        self.gain, self.max_pixels = nn.Parameter(torch.tensor([0.5])), max_pixels

    def forward(self, images):
        if images.shape[2] * images.shape[3] > self.max_pixels:
            raise torch.OutOfMemoryError
        return images * self.gain


def make_restorer(device, **options):
    return Restorer("half", "", 1, Half(**options).requires_grad_(False).to(device), device)


def test_restorers_give_the_same_samples_on_both_devices():
    photo = Pixels.from_image(make_photo(9, 1100, 1000))
    expected, found, _ = run_on_both(lambda device: make_restorer(device)(photo).samples)
    assert np.array_equal(found, expected)


def test_restorer_out_of_memory_retries_in_smaller_tiles():
    photo = Pixels.from_image(make_photo(9, 700, 300))
    expected, small = make_restorer("cpu")(photo), make_restorer("cpu", max_pixels=260**2)
    assert np.abs(small(photo).samples.astype(int) - expected.samples).max() <= 1
    assert small.window == 1024, "the next photo starts with the same tiles"
    with pytest.raises(torch.OutOfMemoryError):
        make_restorer("cpu", max_pixels=100**2)(photo)
    untiled = replace(small, tiled=False, window=1024)
    with pytest.raises(torch.OutOfMemoryError):
        untiled(photo)


class OutOfMemoryAtCalls(fake_autoencoders.Smooth):
    """An autoencoder that runs out of memory at some of its calls."""

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


def load_out_of_memory(device, *calls):
    """Load an autoencoder that runs out of memory at these calls, 1 being the first after loading."""
    network = OutOfMemoryAtCalls(*(1 + call for call in calls))  # loading encodes once
    autoencoder = as_autoencoder(network, "exact", device=device, dtype=torch.float32)
    return replace(autoencoder, sha256=load("exact", "cpu").sha256)


@pytest.fixture
def transport(maps):
    return maps["exact", "gaussian"]


@pytest.fixture(scope="module")
def soft_photo():
    return soften(make_photo(9, 480, 288))


def enhance(enhancer, image):
    """Return the samples of an enhanced image and the number of its tiles."""
    pixels = Pixels.from_image(image)
    n_tiles = enhancer.enhance(pixels).n_tiles
    return pixels.samples, n_tiles


def test_enhance_out_of_memory_retries_from_the_original_samples_in_smaller_tiles(transport, soft_photo):
    tiles = TileOptions(256)
    expected, count = enhance(Enhancer(load("exact", "cpu"), transport, tiles=tiles), soft_photo)
    assert count >= 3
    counts = {
        size: enhance(Enhancer(load("exact", "cpu"), transport, tiles=TileOptions(size)), soft_photo)[1]
        for size in (128, 64)
    }
    for calls, size in (((1,), 128), ((count + 4,), 128), ((1, 2), 64)):
        with fake_gpu():
            enhancer = Enhancer(load_out_of_memory(FAKE_DEVICE, *calls), transport, tiles=tiles)
            found, found_count = enhance(enhancer, soft_photo)
        assert found_count == counts[size] > count
        assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_enhance_after_a_photo_out_of_memory_gives_the_same_bytes(maps, soft_photo, name, monkeypatch):
    """The smaller tiles are for the photo that needed them alone, even if tiles are cross-faded and show in bytes."""
    transport, tiles = maps[name, "gaussian"], replace(AUTOENCODERS[name][1], size=192)
    other = soften(make_photo(3, 200, 280))
    with fake_gpu():
        autoencoder = load(name, FAKE_DEVICE)
        undisturbed, count = enhance(Enhancer(autoencoder, transport, tiles=tiles), soft_photo)
        enhancer = Enhancer(autoencoder, transport, tiles=tiles)
        encode, n_calls = type(autoencoder.network).encode, 0

        def encode_out_of_memory(network, images):
            nonlocal n_calls
            n_calls += 1
            if n_calls == 2:
                raise torch.OutOfMemoryError
            return encode(network, images)

        with monkeypatch.context() as patch:
            patch.setattr(type(autoencoder.network), "encode", encode_out_of_memory)
            _, other_count = enhance(enhancer, other)
        assert other_count > enhancer.tiles.plan(autoencoder, Pixels.from_image(other)).count
        after, after_count = enhance(enhancer, soft_photo)
    assert enhancer.tiles == tiles
    assert after_count == count
    assert np.array_equal(after, undisturbed)


@pytest.mark.parametrize(("device", "calls"), [(FAKE_DEVICE, range(1, 9)), ("cpu", [1])], ids=["smallest tiles", "cpu"])
def test_enhance_out_of_memory_without_a_remedy_raises(transport, soft_photo, device, calls):
    with fake_gpu():
        enhancer = Enhancer(load_out_of_memory(device, *calls), transport, tiles=TileOptions(128))
        with pytest.raises(torch.OutOfMemoryError):
            enhance(enhancer, soft_photo)


def test_photo_moments_out_of_memory_retries_in_smaller_tiles():
    photo = Pixels.from_image(make_photo(9, 242, 198))
    expected, found = (
        photo_moments(autoencoder, photo, 3, TileOptions(128))
        for autoencoder in (load("exact", "cpu"), load_out_of_memory("cpu", 2))
    )
    assert found.count == expected.count
    torch.testing.assert_close(found.scatter, expected.scatter, rtol=1e-4, atol=1e-4)


def test_fake_gpu_refuses_what_cuda_refuses_and_rounds_convolutions():
    values = torch.rand(1, 1, 5, 5)
    with fake_gpu():
        on_gpu = values.to(FAKE_DEVICE)
        for mistake in (lambda: on_gpu + values, lambda: on_gpu.numpy(), lambda: values[on_gpu > 0]):
            with pytest.raises(RuntimeError):
                mistake()
        with pytest.raises(RuntimeError, match="same device"):
            PatchTransport(torch.eye(9), torch.zeros(9), 3)(on_gpu)
        assert (on_gpu.cpu() + values).device.type == "cpu"
        assert torch.equal(on_gpu[on_gpu > 0].cpu(), values.flatten())
        kernel = torch.full((1, 1, 1, 1), 1 / 3)
        convolved = nn.functional.conv2d(on_gpu, kernel.to(FAKE_DEVICE)).cpu()
        assert 1e-5 < (convolved - values / 3).abs().max() < 1e-3
