"""Global operations held at what they find in samples: with the whole image as sample, parts give what it gives."""

import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

from deepot.autoencoder import DiffusersAutoencoder, as_autoencoder
from deepot.autoencoder.shared_stats import with_shared_statistics
from tests.support import fake_autoencoders as codecs


@pytest.fixture(scope="module")
def kl():
    """GroupNorm everywhere and attention in the middle, at a size at which untrained weights show something."""
    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    model = AutoencoderKL(**kinds, block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return DiffusersAutoencoder(model.requires_grad_(False))


def image(*size):
    generator = torch.Generator().manual_seed(4)
    ramp = torch.linspace(0, 0.7, size[-1]).expand(1, 3, *size)
    return ramp + 0.3 * torch.rand(1, 3, *size, generator=generator)


@torch.inference_mode()
@pytest.mark.parametrize("part", ["encode", "decode"])
def test_with_the_image_itself_as_the_sample_it_is_unchanged(kl, part):
    work = getattr(kl, part)
    whole = image(48, 64) if part == "encode" else kl.encode(image(48, 64))
    expected = work(whole)
    local = with_shared_statistics(kl, work, whole)
    torch.testing.assert_close(local(whole), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(work(whole), expected, msg="the network is as it was")


@torch.inference_mode()
def test_parts_agree_where_they_see_the_same(kl):
    """Alone, two windows differ all over; settled, only where the receptive field reaches over a window's edge."""
    whole = image(64, 400)
    windows = [whole[..., :256], whole[..., 144:]]
    local = with_shared_statistics(kl, kl.encode, whole)
    for work, agree in ((kl.encode, False), (local, True)):
        first, second = map(work, windows)
        shared = (first[..., 72:128], second[..., :56])
        middle = [each[..., 24:-24] for each in shared]
        assert torch.allclose(*middle, rtol=1e-3, atol=1e-3) == agree


@torch.inference_mode()
def test_what_is_found_in_samples_is_that_of_all_of_them_together():
    norm = nn.GroupNorm(2, 4)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    samples = torch.rand(3, 4, 5, 7)
    joined = samples.transpose(0, 1).reshape(1, 4, -1)
    part = torch.rand(2, 4, 6, 6)
    mean, deviation = (
        getattr(joined.reshape(2, -1), what)(1).repeat_interleave(2).view(1, 4, 1, 1) for what in ("mean", "std")
    )
    expected = (part - mean) / deviation * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
    torch.testing.assert_close(with_shared_statistics(norm, norm, samples)(part), expected, rtol=1e-2, atol=1e-2)
    plain = nn.GroupNorm(2, 4, affine=False).to(torch.bfloat16)
    assert with_shared_statistics(plain, plain, samples.bfloat16())(part.bfloat16()).dtype == torch.bfloat16


def test_what_has_no_such_layers_is_left_alone():
    network = codecs.smooth()
    assert with_shared_statistics(network, network.encode, image(8, 8)) == network.encode
    assert with_shared_statistics(object(), len, image(8, 8)) is len


@torch.inference_mode()
def test_a_codec_settles_both_of_its_sides(kl):
    codec = as_autoencoder(kl, "kl", dtype=torch.float32, device="cpu")
    whole = image(32, 32)
    latents = codec.encode(whole)
    torch.testing.assert_close(codec.tiled_encoder(whole)(whole), latents, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(codec.tiled_decoder(latents)(latents), codec.decode(latents), rtol=1e-4, atol=1e-4)
    other = codec.tiled_decoder(latents * 2)(latents)
    assert float((other - codec.decode(latents)).abs().mean()) > 0.01, "the samples decide"
