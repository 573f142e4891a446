"""Position-wise normalisation in bands of rows that fit into the cache of a CPU."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn

MAX_BAND_VALUES = 262_144
"""Values normalised at a time: 512 KB in bfloat16, and four times as much for the intermediate results."""


def run_in_bands(layers: Iterable[nn.Module]) -> None:
    """Patch layers so that on a CPU they process their input in bands of rows, with bitwise the same result.

    RMSNorm makes several passes over all values in float32. In bands, every pass after the first finds its values in
    the cache; without them each pass reads from memory (`benchmarks/passes.py`).

    Args:
        layers: layers that take (B, rows, …, C) and treat every row independently; changed in place.
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
