"""Compact: a network's weights in 8 bits, for shipping it: half the size of float16, and hardly a difference.

Kernels become int8 with a float32 scale for each output channel, NAME and NAME.scale; everything else becomes float16.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

_SCALE, _MOST = ".scale", 127


def compact(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by name → tensors to store. Each kernel's largest weight of an output channel becomes ±127."""
    stored: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight.ndim < 2:
            stored[name] = weight.half().contiguous()
            continue
        scale = weight.float().flatten(1).abs().amax(1).clamp(min=1e-12) / _MOST
        stored[name] = (weight.float() / _along(scale, weight)).round().to(torch.int8).contiguous()
        stored[name + _SCALE] = scale
    return stored


def expand(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `compact` gave → weights in float32, off by half a 127th of their channel's largest at the most."""
    return {
        name: tensor.float() * _along(stored[name + _SCALE], tensor) if name + _SCALE in stored else tensor.float()
        for name, tensor in stored.items()
        if not name.endswith(_SCALE)
    }


def _along(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (weight.ndim - 1))
