"""Compact: a network's weights in a few bits each, for shipping it, and hardly a difference.

Kernels become whole numbers with a float32 scale for each output channel, NAME and NAME.scale: in 8 bits as int8, in
fewer as a zlib stream of them, which NAME.shape goes with. Everything else becomes float16.
"""

import zlib
from collections.abc import Mapping

import torch
from torch import Tensor

MAX_BITS = 8
_SCALE, _SHAPE = ".scale", ".shape"


def quantize_weights(weights: Mapping[str, Tensor], bits: int = MAX_BITS) -> dict[str, Tensor]:
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
        levels, scale = _quantize_kernel(weight, bits)
        levels = levels.to(torch.int8).contiguous()
        if bits < MAX_BITS:
            stored[name + _SHAPE] = torch.tensor(levels.shape)
            levels = _compress(levels)
        stored |= {name: levels, name + _SCALE: scale}
    return stored


def dequantize_weights(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `quantize_weights` gave → weights in float32, off by half a step of their channel at the most."""
    weights = {}
    for name, tensor in stored.items():
        if name.endswith((_SCALE, _SHAPE)):
            continue
        if name + _SHAPE in stored:
            tensor = _decompress(tensor, tuple(stored[name + _SHAPE].tolist()))
        weight = tensor.float()
        weights[name] = weight * _broadcast_scale(stored[name + _SCALE], weight) if name + _SCALE in stored else weight
    return weights


def fake_quantize(weight: Tensor, bits: int) -> Tensor:
    """A kernel as it comes back from so many bits, with a gradient as if it were not rounded (Bengio et al. 2013)."""
    levels, scale = _quantize_kernel(weight.detach(), bits)
    return weight + (levels * _broadcast_scale(scale, weight) - weight).detach()


def _quantize_kernel(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Whole numbers up to ±(2^(bits − 1) − 1), the largest of each output channel, and a channel's step."""
    if not 2 <= bits <= MAX_BITS:
        raise ValueError(f"{bits} bits a weight: from 2 to {MAX_BITS} can be stored")
    max_level = 2 ** (bits - 1) - 1
    scale = weight.float().flatten(1).abs().amax(1).clamp(min=1e-12) / max_level
    return (weight.float() / _broadcast_scale(scale, weight)).round(), scale


def _compress(integers: Tensor) -> Tensor:
    """Whole numbers, int8, as a zlib stream: (n,) uint8. Its Huffman codes come near to their entropy."""
    return torch.frombuffer(bytearray(zlib.compress(integers.numpy().tobytes(), 9)), dtype=torch.uint8)


def _decompress(compressed: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.frombuffer(bytearray(zlib.decompress(compressed.numpy().tobytes())), dtype=torch.int8).reshape(shape)


def _broadcast_scale(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (weight.ndim - 1))
