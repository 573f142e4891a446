"""The embedded autoencoder with exact layers: `dtype="exact"`."""

import json
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from deepot.autoencoder.banded_norm import run_in_bands
from deepot.autoencoder.embedded_network import EMBEDDED_MODULES, load_network
from deepot.autoencoder.exact_layers import ExactChannelAverage, ExactConv2d, ExactRMSNorm, ExactSiLU
from deepot.autoencoder.loaded import LoadedAutoencoder, as_autoencoder
from deepot.autoencoder.quantize import stored_kernels
from deepot.autoencoder.residual_blocks import ChannelAverage, RMSNorm
from deepot.errors import ArgumentError, AutoencoderError

RANGES_NAME = "input_ranges.json"
_CHECK_CELLS = 12  # side of the input that a convolution is checked with
_WAY_OUT = "set dtype to float32, or use another machine"


def load_exact_autoencoder(folder: Path, name: str, device: torch.device | str | None = None) -> LoadedAutoencoder:
    """Load the embedded autoencoder with exact layers.

    Args:
        folder: Its folder: config.json, weights, and input_ranges.json, which
            `tools/embedded_autoencoder/measure_input_ranges.py` writes.
        name: As the user gave it.
        device: The CPU, or None.

    Raises:
        ArgumentError: The device is another one.
        AutoencoderError: PyTorch convolves inexactly on this machine.
    """
    if device is not None and torch.device(device).type != "cpu":
        raise ArgumentError(
            f"dtype is 'exact', and device is '{device}': exact computation is for CPUs only; set device to cpu, or "
            "dtype to float32"
        )
    loaded = as_autoencoder(load_network(folder), name, device="cpu", dtype=torch.float32)
    network = loaded.network
    if not isinstance(network, nn.Module):
        raise TypeError("the embedded autoencoder is no module of PyTorch")
    stored: dict[str, Tensor] = {}
    for module in EMBEDDED_MODULES:
        stored |= load_file(folder / f"{module}.safetensors")
    _replace_layers(network, stored, json.loads((folder / RANGES_NAME).read_bytes()))
    check_convolutions(network)
    return replace(loaded, is_exact=True)


def check_convolutions(network: nn.Module) -> None:
    """Check that an exact convolution with many products of large digits is exact on this machine.

    Settings that let float32 convolutions round their factors, and algorithms that transform them, would make it
    inexact.

    Raises:
        AutoencoderError: It is not.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, ExactConv2d)]
    layer = max(layers, key=lambda layer: layer.base * layer.levels[0].numel())
    channels, limit = layer.levels.shape[1], layer.base // 2
    numbers = torch.arange(2 * channels * _CHECK_CELLS**2) * 48271 % 65537 % (2 * limit + 1) - limit
    digits = numbers.view(2, channels, _CHECK_CELLS, _CHECK_CELLS)
    columns = F.unfold(digits.double(), 3, padding=(0, 1)).long()
    expected = layer.levels.flatten(1).long() @ columns
    found = layer.convolve(digits.float().contiguous(memory_format=torch.channels_last))
    if not torch.equal(found.flatten(2).long(), expected):
        raise AutoencoderError(
            "dtype is 'exact', but float32 convolutions are not exact on this machine, as with "
            f"ONEDNN_DEFAULT_FPMATH_MODE or torch.backends.mkldnn.conv.fp32_precision: unset them; otherwise {_WAY_OUT}"
        )


def _replace_layers(network: nn.Module, stored: dict[str, Tensor], input_ranges: dict[str, float]) -> None:
    """Replace all layers that compute by exact ones, in place."""
    kernels = stored_kernels(stored)
    for parent_name, parent in list(network.named_modules()):
        for child_name, layer in list(parent.named_children()):
            name = f"{parent_name}.{child_name}"
            if isinstance(layer, nn.Conv2d):
                exact: nn.Module = ExactConv2d(*kernels[f"{name}.weight"], layer.bias, input_ranges[name])
            elif isinstance(layer, RMSNorm):
                exact = ExactRMSNorm(layer.weight, layer.bias)
                run_in_bands([exact])
            elif isinstance(layer, nn.SiLU):
                exact = ExactSiLU()
            elif isinstance(layer, ChannelAverage):
                exact = ExactChannelAverage(layer.channels)
            else:
                continue
            setattr(parent, child_name, exact)
