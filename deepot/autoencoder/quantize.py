"""Compact: a network's weights in a few bits each, for shipping it, and hardly a difference.

Kernels become whole numbers with a float32 scale for each output channel, NAME and NAME.scale: in 8 bits as int8, in
fewer as a zlib stream of them, which NAME.shape goes with. Everything else becomes float16.
"""

import zlib
from collections.abc import Mapping

import torch
from torch import Tensor

BITS = 8
_SCALE, _SHAPE = ".scale", ".shape"


def compact(weights: Mapping[str, Tensor], bits: int = BITS) -> dict[str, Tensor]:
    """Weights by name → tensors to store.

    Args:
        weights: of a network.
        bits: for each weight of a kernel, 2 to 8.

    Raises:
        ValueError: fewer or more bits.
    """
    stored: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight.ndim < 2:
            stored[name] = weight.half().contiguous()
            continue
        levels, scale = _levels(weight, bits)
        levels = levels.to(torch.int8).contiguous()
        if bits < BITS:
            stored[name + _SHAPE] = torch.tensor(levels.shape)
            levels = _packed(levels)
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
    if not 2 <= bits <= BITS:
        raise ValueError(f"{bits} bits a weight: from 2 to {BITS} can be stored")
    most = 2 ** (bits - 1) - 1
    scale = weight.float().flatten(1).abs().amax(1).clamp(min=1e-12) / most
    return (weight.float() / _along(scale, weight)).round(), scale


def _packed(levels: Tensor) -> Tensor:
    """Whole numbers, int8, as a zlib stream: (n,) uint8. Its Huffman codes come near to their entropy."""
    return torch.frombuffer(bytearray(zlib.compress(levels.numpy().tobytes(), 9)), dtype=torch.uint8)


def _unpacked(packed: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.frombuffer(bytearray(zlib.decompress(packed.numpy().tobytes())), dtype=torch.int8).reshape(shape)


def _along(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (weight.ndim - 1))
