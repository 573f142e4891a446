import pytest
import torch
from diffusers import AutoencoderDC, AutoencoderKL, AutoencoderTiny

from deepot.autoencoder.loading import load_autoencoder


@torch.inference_mode()
def test_kl_encodes_to_the_scaled_and_shifted_mean(tmp_path):
    torch.manual_seed(0)
    model = AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        scaling_factor=0.3611,
        shift_factor=0.1159,
    ).eval()
    model.save_pretrained(tmp_path)
    autoencoder = load_autoencoder(str(tmp_path), dtype=torch.float32)
    images = torch.rand(1, 3, 32, 48)
    mean = model.encode(images * 2 - 1).latent_dist.mean
    latents = autoencoder.encode(images)
    torch.testing.assert_close(latents, (mean - 0.1159) * 0.3611)
    torch.testing.assert_close(autoencoder.decode(latents), (model.decode(mean).sample + 1) / 2, rtol=1e-4, atol=1e-4)
    assert (autoencoder.factor, autoencoder.channels) == (2, 4)
    assert autoencoder.halo is None, "GroupNorm and attention depend on the full feature map"


def tiny_model():
    return AutoencoderTiny(
        encoder_block_out_channels=(16, 16),
        decoder_block_out_channels=(16, 16),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
        latent_channels=4,
    )


def dc_model(widths, layers):
    return AutoencoderDC(
        latent_channels=8,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        encoder_layers_per_block=layers,
        decoder_layers_per_block=layers,
        encoder_qkv_multiscales=((),) * len(layers),
        decoder_qkv_multiscales=((),) * len(layers),
        upsample_block_type="pixel_shuffle",
        scaling_factor=0.5,
    )


@torch.inference_mode()
@pytest.mark.parametrize(
    ("make_model", "factor", "channels"),
    [
        pytest.param(tiny_model, 2, 4, id="tiny"),
        pytest.param(lambda: dc_model((16, 32), (1, 1)), 2, 8, id="dc"),
        pytest.param(lambda: dc_model((16, 16, 32), (0, 1, 1)), 4, 8, id="dc with an empty stage"),
    ],
)
def test_halo_of_a_local_model_is_a_tight_bound(tmp_path, make_model, factor, channels):
    torch.manual_seed(0)
    make_model().save_pretrained(tmp_path)
    autoencoder = load_autoencoder(str(tmp_path), dtype=torch.float32)
    assert (autoencoder.factor, autoencoder.channels) == (factor, channels)
    edge = torch.zeros(1, 3, 128, 128)
    edge[..., 64:] = 1
    difference = autoencoder.encode(edge) - autoencoder.encode(torch.zeros(1, 3, 128, 128))
    first_changed_column = int((difference.abs().amax((0, 1, 2)) > 1e-6).nonzero().min())
    distance = 64 // factor - first_changed_column
    assert distance <= autoencoder.halo <= distance + 4
