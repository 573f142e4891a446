import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

from deepot.autoencoder import DiffusersAutoencoder, as_autoencoder
from deepot.autoencoder.shared_stats import with_shared_statistics
from tests.support import fake_autoencoders


@pytest.fixture(scope="module")
def kl():
    """A network with GroupNorm and attention, whose random weights are large enough for its operations to matter."""
    torch.manual_seed(0)
    block_types = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    model = AutoencoderKL(**block_types, block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return DiffusersAutoencoder(model.requires_grad_(False))


def image(*size):
    generator = torch.Generator().manual_seed(4)
    ramp = torch.linspace(0, 0.7, size[-1]).expand(1, 3, *size)
    return ramp + 0.3 * torch.rand(1, 3, *size, generator=generator)


@torch.inference_mode()
@pytest.mark.parametrize("method", ["encode", "decode"])
def test_with_shared_statistics_of_the_full_image_changes_nothing(kl, method):
    function = getattr(kl, method)
    full = image(48, 64) if method == "encode" else kl.encode(image(48, 64))
    expected = function(full)
    on_tile = with_shared_statistics(kl, function, full)
    torch.testing.assert_close(on_tile(full), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(function(full), expected, msg="the network must be left as it was")


@torch.inference_mode()
def test_with_shared_statistics_tiles_agree_where_their_surroundings_are_the_same(kl):
    """Without shared statistics two windows differ everywhere, with them only near their borders."""
    full = image(64, 400)
    windows = [full[..., :256], full[..., 144:]]
    on_tile = with_shared_statistics(kl, kl.encode, full)
    for function, agree in ((kl.encode, False), (on_tile, True)):
        first, second = map(function, windows)
        shared = (first[..., 72:128], second[..., :56])
        middle = [each[..., 24:-24] for each in shared]
        assert torch.allclose(*middle, rtol=1e-3, atol=1e-3) == agree


@torch.inference_mode()
def test_with_shared_statistics_norm_uses_the_moments_of_all_probes_together():
    norm = nn.GroupNorm(2, 4)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    probes = torch.rand(3, 4, 5, 7)
    joined = probes.transpose(0, 1).reshape(1, 4, -1)
    tile = torch.rand(2, 4, 6, 6)
    mean, deviation = (
        getattr(joined.reshape(2, -1), name)(1).repeat_interleave(2).view(1, 4, 1, 1) for name in ("mean", "std")
    )
    expected = (tile - mean) / deviation * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
    torch.testing.assert_close(with_shared_statistics(norm, norm, probes)(tile), expected, rtol=1e-2, atol=1e-2)
    plain = nn.GroupNorm(2, 4, affine=False).to(torch.bfloat16)
    assert with_shared_statistics(plain, plain, probes.bfloat16())(tile.bfloat16()).dtype == torch.bfloat16


def test_with_shared_statistics_without_global_layers_returns_the_function():
    network = fake_autoencoders.smooth()
    assert with_shared_statistics(network, network.encode, image(8, 8)) == network.encode
    assert with_shared_statistics(object(), len, image(8, 8)) is len


@torch.inference_mode()
def test_tiled_encoder_and_decoder_use_the_statistics_of_the_probes(kl):
    autoencoder = as_autoencoder(kl, "kl", dtype=torch.float32, device="cpu")
    full = image(32, 32)
    latents = autoencoder.encode(full)
    torch.testing.assert_close(autoencoder.tiled_encoder(full)(full), latents, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        autoencoder.tiled_decoder(latents)(latents), autoencoder.decode(latents), rtol=1e-4, atol=1e-4
    )
    other = autoencoder.tiled_decoder(latents * 2)(latents)
    assert float((other - autoencoder.decode(latents)).abs().mean()) > 0.01, "the statistics must come from the probes"
