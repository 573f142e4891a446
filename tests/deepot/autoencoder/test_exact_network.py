"""The exact embedded autoencoder: close to float32, the same bits in tiles, and refused where it cannot be exact."""

import numpy as np
import pytest
import torch
from torch import nn

from deepot.autoencoder import as_autoencoder, load_autoencoder
from deepot.autoencoder.exact_layers import ExactConv2d
from deepot.autoencoder.exact_network import check_convolutions
from deepot.errors import ArgumentError, AutoencoderError
from tests.support.photos import make_photo


@pytest.fixture(scope="module")
def exact():
    return load_autoencoder("embedded", dtype="exact")


def as_tensor(photo):
    return torch.from_numpy(np.asarray(photo) / 255).float().permute(2, 0, 1)[None]


def test_exact_autoencoder_is_the_embedded_one_with_other_arithmetic(exact, embedded_autoencoder):
    assert exact.sha256 == embedded_autoencoder.sha256
    assert (exact.dtype_name, exact.dtype, exact.device.type) == ("exact", torch.float32, "cpu")
    assert (exact.factor, exact.channels, exact.halo) == (8, 32, embedded_autoencoder.halo)
    assert "on cpu in exact" in repr(exact)
    assert not any(type(layer) in (nn.Conv2d, nn.SiLU) for layer in exact.network.modules())


def test_exact_autoencoder_differs_from_float32_by_a_twentieth_of_a_level_at_most(exact, generator):
    plain = load_autoencoder("embedded", device="cpu", dtype="float32")
    for image in (as_tensor(make_photo(0, 96, 128)), torch.rand(1, 3, 64, 72, generator=generator)):
        latents = plain.encode(image)
        assert float((exact.encode(image) - latents).abs().max()) < 0.02
        found, expected = exact.decode(1.2 * latents), plain.decode(1.2 * latents)
        assert 0 < float((found - expected).abs().max()) < 0.05 / 255


def test_exact_autoencoder_has_the_same_bits_in_tiles(exact, generator):
    side, halo = 8 * exact.factor, exact.halo * exact.factor
    image = torch.rand(1, 3, 40, halo + 2 * side, generator=generator)
    latents = exact.encode(image)
    tile = exact.encode(image[..., side:])
    assert torch.equal(tile[..., exact.halo :], latents[..., 8 + exact.halo :])
    decoded = exact.decode(latents)
    assert torch.equal(exact.decode(latents[..., 8:])[..., halo:], decoded[..., side + halo :])


@pytest.mark.parametrize("threads", [2, 3])
def test_exact_autoencoder_has_the_same_bits_with_any_number_of_threads(exact, threads, generator):
    image = torch.rand(1, 3, 48, 72, generator=generator)
    expected = exact.decode(exact.encode(image))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert torch.equal(exact.decode(exact.encode(image)), expected)
    finally:
        torch.set_num_threads(before)


def test_inputs_of_convolutions_stay_below_half_of_their_ranges(exact, generator):
    shares = {}

    def record(layer, inputs):
        largest = float(inputs[0].abs().max()) / (layer.step * layer.base**2 / 2)
        shares[layer] = max(shares.get(layer, 0), largest)

    convolutions = [layer for layer in exact.network.modules() if isinstance(layer, ExactConv2d)]
    hooks = [layer.register_forward_pre_hook(record) for layer in convolutions]
    checks = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    for image in (
        as_tensor(make_photo(1, 64, 64)),
        torch.rand(1, 3, 64, 64, generator=generator),
        checks.expand(1, 3, -1, -1),
    ):
        exact.decode(exact.encode(image.float()))
    for hook in hooks:
        hook.remove()
    assert len(shares) == len(convolutions) == 36
    assert max(shares.values()) < 0.5


def test_convolutions_that_round_their_factors_are_refused(exact, monkeypatch):
    plain = ExactConv2d.convolve

    def convolve_in_bfloat16(self, digits):
        return plain(self, digits.bfloat16().float())

    check_convolutions(exact.network)
    monkeypatch.setattr(ExactConv2d, "convolve", convolve_in_bfloat16)
    with pytest.raises(AutoencoderError, match="float32 convolutions are not exact on this machine"):
        load_autoencoder("embedded", dtype="exact")


def test_exact_on_another_device_or_of_another_autoencoder_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="device is 'cuda': exact computation is for CPUs only"):
        load_autoencoder("embedded", device="cuda", dtype="exact")
    with pytest.raises(ArgumentError, match="only the embedded autoencoder has"):
        load_autoencoder("tests.support.fake_autoencoders:smooth", dtype="exact", allow_code=True)
    with pytest.raises(ArgumentError, match="only the embedded autoencoder has"):
        as_autoencoder(load_autoencoder("embedded", dtype="float32").network, "mine", device="cpu", dtype="exact")
