"""How often the program waits for a GPU, and how many bytes it moves, counted on a fake one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import deepot
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.photo.pixels import Pixels
from tests.scenarios.test_devices_and_dtypes import AUTOENCODERS, fit_maps, load
from tests.support.fake_gpu import FAKE_DEVICE, fake_gpu
from tests.support.photos import make_photo, soften


@pytest.fixture(scope="module")
def maps():
    return fit_maps()


@pytest.mark.parametrize("size", [1424, 64])
@pytest.mark.parametrize("mode", list(TransportMode))
@pytest.mark.parametrize("name", AUTOENCODERS)
def test_enhance_waits_for_the_device_once_a_photo_and_moves_eight_bits_a_sample(maps, name, mode, size):
    """The samples go there once and come back once, whatever the tiles, with a bit for where a photo is constant."""
    transport = maps[name, "gaussian"]
    toned = replace(transport, tone=deepot.ToneCurve(torch.full((3, 256), 3.0).double(), 1.0, 0.5, 0.1))
    first, photo = (Pixels.from_image(soften(make_photo(seed, 120, 200))) for seed in (8, 9))
    photo.samples[:40, :50] = 7
    n_pixels, factor = photo.height * photo.width, load(name, "cpu").factor
    tiles = replace(AUTOENCODERS[name][1], size=size)
    with fake_gpu() as gpu:
        enhancer = Enhancer(load(name, FAKE_DEVICE), toned, mode=mode, tiles=tiles)
        enhancer.enhance(first)  # which also uploads the kernels of the map
        gpu.n_syncs = 0
        gpu.bytes_copied.clear()
        stats = enhancer.enhance(photo)
    assert (stats.n_tiles > 3) == (size == 64)
    assert stats.change.rms > 0
    assert gpu.n_syncs == 1
    mask = 0 if mode is TransportMode.PLAIN else n_pixels / 8
    assert gpu.bytes_copied["to"] == 3 * n_pixels + mask
    means = 0 if stats.constraint is None else 4 * 3 * n_pixels / factor**2
    assert gpu.bytes_copied["from"] == 3 * n_pixels + means + 4 * 8


def test_enhance_reads_nothing_before_it_waits(maps):
    """A copy that has not been waited for has other values: the result shows that it was not read before."""
    photo, results = soften(make_photo(9, 120, 100)), []
    for device in ("cpu", FAKE_DEVICE):
        with fake_gpu():
            pixels = Pixels.from_image(photo)
            enhancer = Enhancer(load("exact", device), maps["exact", "gaussian"])
            queued = enhancer._queue(
                replace(pixels, samples=pixels.samples.copy()),
                pixels,
                enhancer.tiles.plan(enhancer.autoencoder, pixels),
                None,
                0.5,
                None,
            )
            copies = queued.begin_copies()
            if device == FAKE_DEVICE:
                assert np.array_equal(pixels.samples, Pixels.from_image(photo).samples)
            queued.finish(enhancer.autoencoder, copies)
            results.append(pixels.samples)
    assert np.array_equal(*results)


def test_fake_gpu_counts_every_wait():
    values = torch.arange(6.0)
    with fake_gpu() as gpu:
        on_gpu = values.to(FAKE_DEVICE)
        waits = (
            on_gpu.cpu,
            on_gpu.tolist,
            lambda: float(on_gpu.sum()),
            lambda: bool((on_gpu > 2).any()),
            lambda: on_gpu[on_gpu > 2],
            on_gpu.nonzero,
            lambda: values.to(FAKE_DEVICE),
            lambda: values.to(FAKE_DEVICE, non_blocking=True),  # from memory that is not pinned
            torch.cuda.synchronize,
            torch.cuda.Event().synchronize,
        )
        for number, wait in enumerate(waits, start=gpu.n_syncs + 1):
            wait()
            assert gpu.n_syncs == number
        count = gpu.n_syncs
        pinned = torch.empty(6, pin_memory=True)
        pinned.copy_(on_gpu, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()
        later = torch.empty(6, pin_memory=True)
        later.copy_(on_gpu, non_blocking=True)
        pinned.clone().to(FAKE_DEVICE)
        assert gpu.n_syncs == count + 1, "a clone is not pinned"
        assert not torch.equal(pinned, values)
        copied.synchronize()
        assert torch.equal(pinned, values)
        assert not torch.equal(later, values), "the event was recorded before this copy was begun"
        pinned.to(FAKE_DEVICE, non_blocking=True)
        assert (on_gpu * 2 + 1).aminmax() is not None
        assert gpu.n_syncs == count + 2
