"""Banded: normalisation of each position by itself, in bands of rows that a processor's cache holds."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn

MAX_BAND_VALUES = 262_144
"""Values normalised at a time: 512 KB in bfloat16, and what is made of them on the way four times as much."""


def run_in_bands(layers: Iterable[nn.Module]) -> None:
    """Let layers work in bands where they are on a CPU; what they give is the same, bit by bit.

    RMSNorm is a chain of passes over all values, in float32. Band by band the passes after the first find them in the
    cache; all at once each of them goes to memory (`research/bench_autoencoder_variants.py`).

    Args:
        layers: that take (B, rows, …, C) and work on each row by itself.
    """
    for layer in layers:
        layer.forward = partial(_forward_in_bands, layer.forward)


def _forward_in_bands(forward: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    if values.device.type != "cpu" or values.ndim < 3 or values.numel() <= MAX_BAND_VALUES:
        return forward(values)
    rows = max(1, MAX_BAND_VALUES * values.shape[1] // values.numel())
    first = forward(values[:, :rows])
    output = torch.empty_like(values, dtype=first.dtype)
    output[:, :rows] = first
    for top in range(rows, values.shape[1], rows):
        output[:, top : top + rows] = forward(values[:, top : top + rows])
    return output
