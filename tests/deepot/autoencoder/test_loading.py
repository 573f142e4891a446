import pytest
import torch
from diffusers import AutoencoderKL

from deepot.autoencoder.loading import load_autoencoder
from deepot.errors import AutoencoderError, SpecError


def test_load_autoencoder_embedded_matches_its_model_card(embedded_autoencoder):
    assert (embedded_autoencoder.factor, embedded_autoencoder.channels) == (8, 32)
    assert embedded_autoencoder.halo == 13
    assert embedded_autoencoder.encode(torch.zeros(1, 3, 64, 32)).shape == (1, 32, 8, 4)


def test_load_autoencoder_folder_missing_is_refused(tmp_path):
    with pytest.raises(AutoencoderError, match=r"autoencoder '.*nothing': there is no such folder"):
        load_autoencoder(str(tmp_path / "nothing"))


def test_load_autoencoder_from_the_home_folder_of_an_unknown_user_names_the_folder():
    with pytest.raises(AutoencoderError, match=r"autoencoder '~no-such-user/model': there is no such folder"):
        load_autoencoder("~no-such-user/model")


def test_load_autoencoder_of_another_class_names_the_supported_ones(tmp_path):
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(AutoencoderError, match="is of class UNet2DModel; supported are AutoencoderKL"):
        load_autoencoder(str(tmp_path))


def test_load_autoencoder_with_missing_weights_names_one(small_kl, tmp_path):
    from safetensors.torch import load_file, save_file

    small_kl.save_pretrained(tmp_path)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    del weights["decoder.conv_out.bias"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(AutoencoderError, match=r"lacks 1 weights of a AutoencoderKL, such as decoder\.conv_out\.bias"):
        load_autoencoder(str(tmp_path))


def test_load_autoencoder_takes_weights_of_a_subfolder(small_kl, tmp_path):
    small_kl.save_pretrained(tmp_path / "vae")
    assert load_autoencoder(f"{tmp_path}#vae", dtype=torch.float32).channels == 4


def test_load_autoencoder_factory_needs_permission():
    with pytest.raises(AutoencoderError, match="--allow-code"):
        load_autoencoder("tests.support.fake_autoencoders:shuffle")
    assert load_autoencoder("tests.support.fake_autoencoders:shuffle", allow_code=True).factor == 2


def test_load_autoencoder_factory_that_does_not_exist_is_refused():
    with pytest.raises(SpecError, match="no factory 'nothing'"):
        load_autoencoder("tests.support.fake_autoencoders:nothing", allow_code=True)


def test_load_autoencoder_fingerprint_depends_on_the_weights_and_not_on_the_dtype(small_kl, tmp_path):
    small_kl.save_pretrained(tmp_path)
    first = load_autoencoder(str(tmp_path), dtype=torch.float32).sha256
    assert load_autoencoder(str(tmp_path), dtype=torch.bfloat16).sha256 == first
    with torch.no_grad():
        small_kl.decoder.conv_out.bias += 1e-3
    small_kl.save_pretrained(tmp_path)
    assert load_autoencoder(str(tmp_path), dtype=torch.float32).sha256 != first


@pytest.fixture
def small_kl():
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
    ).eval()
