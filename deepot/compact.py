"""Compact: a network's weights in a few bits each, for shipping it, and hardly a difference.

Kernels become whole numbers with a float32 scale for each output channel, NAME and NAME.scale: in 8 bits as int8, in
fewer packed into bytes, which NAME.shape goes with. Everything else becomes float16.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

BITS = 8
_SCALE, _SHAPE = ".scale", ".shape"


def compact(weights: Mapping[str, Tensor], bits: Callable[[str], int] = lambda _: BITS) -> dict[str, Tensor]:
    """Weights by name → tensors to store.

    Args:
        weights: of a network.
        bits: for each weight of a kernel, by the kernel's name, 2 to 8.
    """
    stored: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight.ndim < 2:
            stored[name] = weight.half().contiguous()
            continue
        levels, scale = _levels(weight, bits(name))
        levels = levels.to(torch.int8).contiguous()
        if bits(name) < BITS:
            stored[name + _SHAPE] = torch.tensor(levels.shape)
            levels = _packed(levels, bits(name))
        stored |= {name: levels, name + _SCALE: scale}
    return stored


def expand(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `compact` gave → weights in float32, off by half a step of their channel at the most."""
    weights = {}
    for name, tensor in stored.items():
        if name.endswith((_SCALE, _SHAPE)):
            continue
        if name + _SHAPE in stored:
            tensor = _unpacked(tensor, tuple(stored[name + _SHAPE].tolist()))
        weight = tensor.float()
        weights[name] = weight * _along(stored[name + _SCALE], weight) if name + _SCALE in stored else weight
    return weights


def rounded(weight: Tensor, bits: int) -> Tensor:
    """A kernel as it comes back from so many bits, with a gradient as if it were not rounded (Bengio et al. 2013)."""
    levels, scale = _levels(weight.detach(), bits)
    return weight + (levels * _along(scale, weight) - weight).detach()


def _levels(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Whole numbers up to ±(2^(bits − 1) − 1), the largest of each output channel, and a channel's step."""
    most = 2 ** (bits - 1) - 1
    scale = weight.float().flatten(1).abs().amax(1).clamp(min=1e-12) / most
    return (weight.float() / _along(scale, weight)).round(), scale


def _packed(levels: Tensor, bits: int) -> Tensor:
    """Numbers (…) of so many bits, one after the other in bytes: (n,) uint8, the number of bits first."""
    unsigned = (levels.numpy().astype(np.int16) + 2 ** (bits - 1)).astype(np.uint8)
    kept = np.unpackbits(unsigned.reshape(-1, 1), axis=1)[:, 8 - bits :]
    return torch.from_numpy(np.concatenate([[np.uint8(bits)], np.packbits(kept)]))


def _unpacked(packed: Tensor, shape: tuple[int, ...]) -> Tensor:
    bits, count = int(packed[0]), int(np.prod(shape))
    kept = np.unpackbits(packed[1:].numpy(), count=count * bits).reshape(count, bits)
    unsigned = np.packbits(np.pad(kept, ((0, 0), (8 - bits, 0))), axis=1).reshape(shape)
    return torch.from_numpy(unsigned.astype(np.int16) - 2 ** (bits - 1))


def _along(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (weight.ndim - 1))
