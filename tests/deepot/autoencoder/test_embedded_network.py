"""The embedded network gives the same bits as diffusers' AutoencoderDC, without importing it."""

import json
import math
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderDC
from safetensors.torch import load_file

from deepot.autoencoder import DiffusersAutoencoder, as_autoencoder, load_autoencoder
from deepot.autoencoder.embedded_network import EMBEDDED_MODULES, EmbeddedAutoencoder
from deepot.autoencoder.quantize import dequantize_weights
from deepot.autoencoder.receptive_field import receptive_radius
from deepot.errors import AutoencoderError

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(str(files("deepot.embedded")))
CONFIG = json.loads((FOLDER / "config.json").read_bytes())


def make_diffusers_model():
    model = AutoencoderDC.from_config(CONFIG)
    stored = [load_file(FOLDER / f"{module}.safetensors") for module in EMBEDDED_MODULES]
    model.load_state_dict(dequantize_weights(stored[0] | stored[1]))
    return model.eval()


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16, torch.float16], ids=str)
def both(request):
    """The embedded autoencoder and the same of diffusers' class, in one dtype."""
    dtype = request.param
    of_diffusers = as_autoencoder(DiffusersAutoencoder(make_diffusers_model()), "dc", device="cpu", dtype=dtype)
    return load_autoencoder("embedded", device="cpu", dtype=dtype), of_diffusers


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 3, 64, 40), (2, 3, 24, 72), (1, 3, 168, 200)], ids=str)
def test_embedded_autoencoder_gives_the_bits_of_diffusers(both, shape, generator):
    images = torch.rand(shape, generator=generator)
    latents, expected_latents = (autoencoder.encode(images) for autoencoder in both)
    assert torch.equal(latents, expected_latents)
    output, expected_output = (autoencoder.decode(latents) for autoencoder in both)
    assert torch.equal(output, expected_output)
    assert (latents.stride(), output.stride()) == (expected_latents.stride(), expected_output.stride())


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_embedded_autoencoder_gives_the_bits_of_diffusers_with_any_number_of_threads(both, threads, generator):
    images = torch.rand(1, 3, 48, 72, generator=generator)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        latents, expected_latents = (autoencoder.encode(images) for autoencoder in both)
        output, expected_output = (autoencoder.decode(latents) for autoencoder in both)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(latents, expected_latents)
    assert torch.equal(output, expected_output)


def test_embedded_autoencoder_states_what_diffusers_class_measures(both):
    first, second = both
    assert (first.factor, first.channels, first.halo) == (second.factor, second.channels, second.halo)


SIZES = [
    {"encoder_layers_per_block": [0, 1, 1], "decoder_layers_per_block": [0, 1, 1]},
    {"encoder_layers_per_block": [0, 5, 1], "decoder_layers_per_block": [0, 1, 1]},
    {"encoder_layers_per_block": [0, 1, 1], "decoder_layers_per_block": [0, 3, 2]},
    {"encoder_layers_per_block": [0, 1], "decoder_layers_per_block": [0, 1]},
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_embedded_autoencoder_of_other_sizes_has_the_bits_and_the_halo_of_its_layers(sizes, generator):
    widths = [16, 16, 32][: len(sizes["encoder_layers_per_block"])]
    widths = {"encoder_block_out_channels": widths, "decoder_block_out_channels": widths}
    config = CONFIG | sizes | widths | {"latent_channels": 8}
    network = EmbeddedAutoencoder(config)
    model = AutoencoderDC.from_config(config)
    model.load_state_dict(network.state_dict())
    images = torch.rand(1, 3, 32, 48, generator=generator)
    with torch.inference_mode():
        latents = network.encode(images)
        assert torch.equal(latents, model.encode(images * 2 - 1).latent)
        assert torch.equal(network.decode(latents), (model.decode(latents).sample + 1) / 2)
    assert (network.channels, network.factor) == (latents.shape[1], images.shape[2] // latents.shape[2])
    radii = receptive_radius(network.encoder, images) / network.factor, receptive_radius(network.decoder, latents)
    assert network.halo == math.ceil(max(radii))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encoder_block_types", "EfficientViTBlock"),
        ("decoder_norm_types", "batch_norm"),
        ("upsample_block_type", "interpolate"),
        ("encoder_out_shortcut", False),
        ("scaling_factor", 0.5),
        ("in_channels", 4),
        ("encoder_layers_per_block", [1, 2, 2, 2]),
        ("decoder_layers_per_block", [0, 2, 0, 3]),
        ("latent_channels", None),
        ("setting_of_a_later_version", 1),
    ],
)
def test_embedded_autoencoder_refuses_a_setting_that_is_not_implemented(key, value):
    with pytest.raises(AutoencoderError, match=f"not implemented \\({key} "):
        EmbeddedAutoencoder(CONFIG | {key: value})


@pytest.mark.parametrize("key", ["decoder_act_fns", "decoder_layers_per_block", "latent_channels"])
def test_embedded_autoencoder_refuses_a_config_without_a_setting(key):
    with pytest.raises(AutoencoderError, match=f"not implemented \\({key} None"):
        EmbeddedAutoencoder({name: value for name, value in CONFIG.items() if name != key})


def test_embedded_autoencoder_has_the_fingerprint_that_maps_are_stored_with(embedded_autoencoder):
    """A change of it makes every map fitted with the embedded autoencoder unusable; the changelog must say so."""
    assert embedded_autoencoder.sha256 == "c8bbb74d479b0e5a0f5c8bdc09bd7642442461de9d6dc00e25eab37fb41cb02c"


def test_loading_the_embedded_autoencoder_takes_no_random_numbers():
    before = torch.get_rng_state()
    network = load_autoencoder("embedded", device="cpu").network
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(parameter.is_meta or parameter.requires_grad for parameter in network.parameters())


def test_embedded_autoencoder_runs_without_importing_diffusers():
    program = (
        "import sys, torch, deepot; autoencoder = deepot.load_autoencoder('embedded'); "
        "autoencoder.decode(autoencoder.encode(torch.zeros(1, 3, 64, 64))); "
        "print({'diffusers', 'transformers', 'huggingface_hub'} & sys.modules.keys() or 'none')"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (process.stdout, process.stderr) == ("none\n", "")
