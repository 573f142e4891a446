import pytest
import torch
from diffusers import AutoencoderDC, AutoencoderKL, AutoencoderTiny

from deepot.autoencoder.device import default_dtype
from deepot.autoencoder.loaded import as_autoencoder
from deepot.autoencoder.loading import load_autoencoder
from deepot.errors import AutoencoderError, SpecError
from tests.support import fake_autoencoders as codecs

SMALL = {
    "block_out_channels": (32, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
}


@pytest.fixture
def kl(tmp_path):
    torch.manual_seed(0)
    model = AutoencoderKL(**SMALL, latent_channels=4, scaling_factor=0.3611, shift_factor=0.1159)
    model.save_pretrained(tmp_path / "kl")
    return model.eval(), str(tmp_path / "kl")


@torch.inference_mode()
def test_kl_takes_the_mean_with_scaling_and_shift(kl):
    model, folder = kl
    codec = load_autoencoder(folder, dtype=torch.float32)
    images = torch.rand(1, 3, 32, 48)
    mean = model.encode(images * 2 - 1).latent_dist.mean
    latents = codec.encode(images)
    torch.testing.assert_close(latents, (mean - 0.1159) * 0.3611)
    torch.testing.assert_close(codec.decode(latents), (model.decode(mean).sample + 1) / 2, rtol=1e-4, atol=1e-4)
    assert (codec.factor, codec.channels, codec.halo) == (2, 4, None), "GroupNorm and attention see the whole map"


@torch.inference_mode()
def test_tiny_and_dc_load_and_know_their_receptive_field(tmp_path):
    torch.manual_seed(0)
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(16, 16),
        decoder_block_out_channels=(16, 16),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
        latent_channels=4,
    )
    dc, dc_half = (
        AutoencoderDC(
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
        for widths, layers in (((16, 32), (1, 1)), ((16, 16, 32), (0, 1, 1)))
    )
    for name, model, factor, channels in (("tiny", tiny, 2, 4), ("dc", dc, 2, 8), ("dc_half", dc_half, 4, 8)):
        model.save_pretrained(tmp_path / name)
        codec = load_autoencoder(str(tmp_path / name), dtype=torch.float32)
        assert (codec.factor, codec.channels) == (factor, channels)
        far = torch.zeros(1, 3, 128, 128)
        far[..., 64:] = 1
        changed = (codec.encode(far) - codec.encode(torch.zeros(1, 3, 128, 128))).abs().amax((0, 1, 2)) > 1e-6
        reached = 64 // factor - int(changed.nonzero().min())
        assert reached <= codec.halo <= reached + 4, "the stated halo is a bound, and not far off"


def test_the_embedded_codec(embedded_autoencoder):
    assert (embedded_autoencoder.factor, embedded_autoencoder.channels) == (8, 32)
    assert embedded_autoencoder.halo == 13, "as the model card says"
    assert embedded_autoencoder.encode(torch.zeros(1, 3, 64, 32)).shape == (1, 32, 8, 4)


def test_fingerprints_tell_weights_apart(kl):
    model, folder = kl
    first = load_autoencoder(folder, dtype=torch.float32).sha256
    assert load_autoencoder(folder, dtype=torch.bfloat16).sha256 == first, (
        "the dtype of the computation is no part of it"
    )
    with torch.no_grad():
        model.decoder.conv_out.bias += 1e-3
    model.save_pretrained(folder)
    assert load_autoencoder(folder, dtype=torch.float32).sha256 != first


def test_errors_name_the_vae_and_the_way_out(tmp_path):
    with pytest.raises(AutoencoderError, match="no such folder"):
        load_autoencoder(str(tmp_path / "nothing"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(AutoencoderError, match="is a UNet2DModel; deepot runs AutoencoderKL"):
        load_autoencoder(str(tmp_path / "other"))
    with pytest.raises(AutoencoderError, match="--allow-code"):
        load_autoencoder("tests.support.fake_autoencoders:shuffle")
    with pytest.raises(SpecError, match="no factory 'nothing'"):
        load_autoencoder("tests.support.fake_autoencoders:nothing", allow_code=True)
    with pytest.raises(AutoencoderError, match="lacks factor, channels, encode, decode"):
        load_autoencoder("tests.support.fake_autoencoders:not_an_autoencoder", allow_code=True)
    wrong = codecs.Shuffle()
    wrong.channels = 5
    with pytest.raises(AutoencoderError, match="says factor 2 and 5 channels"):
        as_autoencoder(wrong, "wrong")


@pytest.mark.parametrize(("amx", "avx512_bf16"), [(True, True), (False, True), (False, False)])
def test_the_default_dtype_follows_the_cpu(monkeypatch, amx, avx512_bf16):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    assert default_dtype(torch.device("cpu")) == (torch.bfloat16 if amx or avx512_bf16 else torch.float32)
