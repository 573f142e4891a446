"""The network of the embedded autoencoder: its configuration, weights and receptive field."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from deepot.autoencoder.banded_norm import run_in_bands
from deepot.autoencoder.quantize import dequantize_weights
from deepot.autoencoder.residual_blocks import Decoder, Encoder, RMSNorm
from deepot.errors import AutoencoderError

EMBEDDED_MODULES = ("encoder", "decoder")
"""Modules of the embedded autoencoder; the package `deepot.embedded` has the weights of each in NAME.safetensors."""
_IMPLEMENTED = {
    "decoder_act_fns": "silu",
    "decoder_block_types": "ResBlock",
    "decoder_conv_act_fn": "relu",
    "decoder_in_shortcut": True,
    "decoder_norm_types": "rms_norm",
    "downsample_block_type": "pixel_unshuffle",
    "encoder_block_types": "ResBlock",
    "encoder_out_shortcut": True,
    "in_channels": 3,
    "scaling_factor": 1.0,
    "upsample_block_type": "pixel_shuffle",
}
_BLOCK_COUNTS = ("encoder_layers_per_block", "decoder_layers_per_block")
_SIZES = ("latent_channels", "encoder_block_out_channels", "decoder_block_out_channels", *_BLOCK_COUNTS)
_OF_ATTENTION = ("attention_head_dim", "decoder_qkv_multiscales", "encoder_qkv_multiscales")


class EmbeddedAutoencoder(nn.Module):
    """A local autoencoder of images in [0, 1].

    The names of this class and of its attributes are part of the fingerprint.

    Args:
        config: settings of diffusers' AutoencoderDC.

    Attributes:
        factor: pixels per latent position along each axis.
        channels: number of latent channels.
        halo: latent positions in each direction on which a result depends.

    Raises:
        AutoencoderError: some settings are not implemented.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        _check_config(config)
        encoder_blocks, decoder_blocks = (config[key] for key in _BLOCK_COUNTS)
        self.channels: int = config["latent_channels"]
        self.factor = 2 ** (len(encoder_blocks) - 1)
        # in pixels: the decoder has no convolution at factor 1, and one more between latents and blocks
        radius = max(_receptive_radius(encoder_blocks), _receptive_radius(decoder_blocks) - 1 + self.factor)
        self.halo = math.ceil(radius / self.factor)
        self.encoder = Encoder(config["encoder_block_out_channels"], encoder_blocks, self.channels)
        self.decoder = Decoder(config["decoder_block_out_channels"], decoder_blocks, self.channels)
        run_in_bands(layer for layer in self.modules() if isinstance(layer, RMSNorm))

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) in [0, 1] to latents (B, c, h, w)."""
        latents: Tensor = self.encoder(images * 2 - 1)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (B, c, h, w) to images (B, 3, H, W), roughly in [0, 1]."""
        images: Tensor = self.decoder(latents)
        return (images + 1) / 2


def load_network(folder: Path) -> EmbeddedAutoencoder:
    """Load the network of a folder with config.json and the quantised weights of each module, in float32.

    Raises:
        AutoencoderError: config.json has settings that are not implemented.
    """
    stored: dict[str, Tensor] = {}
    for module in EMBEDDED_MODULES:
        stored |= load_file(folder / f"{module}.safetensors")
    with torch.device("meta"):  # initial weights would take time, and numbers of the global generator
        network = EmbeddedAutoencoder(json.loads((folder / "config.json").read_bytes()))
    network.load_state_dict(dequantize_weights(stored), assign=True)
    return network.eval()


def _receptive_radius(blocks: Sequence[int]) -> int:
    """Return the radius in pixels of two 3 × 3 convolutions per block, and one more per factor.

    Args:
        blocks: number of blocks at factor 1, 2, 4 and so on.
    """
    return sum((2 * n + 1) * 2**stage for stage, n in enumerate(blocks))


def _check_config(config: Mapping[str, Any]) -> None:
    settings = {key: value for key, value in config.items() if not key.startswith("_") and key not in _OF_ATTENTION}
    sizes = {key: settings.pop(key, None) for key in _SIZES}
    wrong = {key: settings.get(key) for key in settings | _IMPLEMENTED if settings.get(key) != _IMPLEMENTED.get(key)}
    wrong |= {key: value for key, value in sizes.items() if not value}
    wrong |= {key: value for key in _BLOCK_COUNTS if (value := sizes[key]) and (value[0] or not all(value[1:]))}
    if wrong:
        text = ", ".join(f"{key} {value}" for key, value in sorted(wrong.items()))
        raise AutoencoderError(
            f"the embedded autoencoder's config.json has settings that are not implemented ({text}): build it with "
            "tools/embedded_autoencoder"
        )
