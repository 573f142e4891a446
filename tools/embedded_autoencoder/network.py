"""The student network: an AutoencoderDC whose operations are all local."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC

WIDTHS = (64, 64, 128, 128)  # at factor 1 (which has no layers), 2, 4, 8
LAYERS = {"encoder": (0, 2, 2, 2), "decoder": (0, 2, 3, 3)}
DECODER_BITS = 6  # of the decoder's kernels as they are shipped


def make_network(channels: int, widths: Sequence[int], encoder: Sequence[int], decoder: Sequence[int]) -> Any:  # noqa: ANN401
    """Return an AutoencoderDC of diffusers with ResBlocks only and random weights.

    Args:
        channels: of the latents.
        widths: channels at factor 1, 2, 4, …
        encoder: ResBlocks at each factor; without any at factor 1 there is only pixel unshuffling.
        decoder: likewise.
    """
    none = ((),) * len(widths)
    return AutoencoderDC(
        latent_channels=channels,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=tuple(widths),
        decoder_block_out_channels=tuple(widths),
        encoder_layers_per_block=tuple(encoder),
        decoder_layers_per_block=tuple(decoder),
        encoder_qkv_multiscales=none,
        decoder_qkv_multiscales=none,
        downsample_block_type="pixel_unshuffle",
        upsample_block_type="pixel_shuffle",
        scaling_factor=1.0,
    )


def make_student(channels: int) -> Any:  # noqa: ANN401 - diffusers has no types
    """Return the student with random weights."""
    return make_network(channels, WIDTHS, LAYERS["encoder"], LAYERS["decoder"])


def load_network(folder: Path) -> Any:  # noqa: ANN401 - diffusers has no types
    """Return the autoencoder of a diffusers folder in float32, without the folder's name in its configuration."""
    loaded = AutoencoderDC.from_pretrained(
        folder, torch_dtype=torch.float32, low_cpu_mem_usage=False, use_safetensors=True
    )
    model = AutoencoderDC.from_config(AutoencoderDC.load_config(folder))
    model.load_state_dict(loaded.state_dict())
    return model
