"""Quantisation of a network's weights to a few bits each, for storing them.

Kernels become integers with one float32 scale per output channel, stored as NAME and NAME.scale: as int8 for 8 bits,
as a zlib stream of int8 for fewer, whose shape is in NAME.shape. All other tensors become float16.
"""

import zlib
from collections.abc import Mapping

import torch
from torch import Tensor

MAX_BITS = 8
_SCALE, _SHAPE = ".scale", ".shape"


def quantize_weights(weights: Mapping[str, Tensor], bits: int = MAX_BITS) -> dict[str, Tensor]:
    """Quantise a network's weights for storing them.

    Args:
        weights: a state dict.
        bits: bits per weight of a kernel, 2 to 8.

    Returns:
        The tensors to store, by name.

    Raises:
        ValueError: `bits` is out of range.

    Example:
        >>> import torch
        >>> stored = quantize_weights({"conv": torch.tensor([[1.0, -0.75, 0.25]]), "bias": torch.ones(1)})
        >>> stored["conv"], stored["bias"].dtype
        (tensor([[127, -95,  32]], dtype=torch.int8), torch.float16)
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
    """Restore float32 weights from what `quantize_weights` returned, off by at most half a step of their channel."""
    weights = {name: tensor.float() for name, tensor in stored.items() if not name.endswith((_SCALE, _SHAPE))}
    for name, (levels, scale) in stored_kernels(stored).items():
        weights[name] = levels.float() * _broadcast_scale(scale, levels)
    return weights


def stored_kernels(stored: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the kernels of what `quantize_weights` returned, by name: integers, int8, and the step of each channel.

    Example:
        >>> import torch
        >>> stored = quantize_weights({"conv": torch.tensor([[1.0, 0.4]])}, bits=2)
        >>> stored_kernels(stored)["conv"]
        (tensor([[1, 0]], dtype=torch.int8), tensor([1.]))
    """
    kernels = {}
    for name, levels in stored.items():
        if name + _SCALE in stored:
            packed = name + _SHAPE in stored
            levels = _decompress(levels, tuple(stored[name + _SHAPE].tolist())) if packed else levels
            kernels[name] = levels, stored[name + _SCALE]
    return kernels


def fake_quantize(weight: Tensor, bits: int) -> Tensor:
    """Round a kernel as storing it in `bits` bits would, with a straight-through gradient (Bengio et al. 2013).

    Example:
        >>> import torch
        >>> fake_quantize(torch.tensor([[1.0, 0.4]]), 2)  # 2 bits: -1, 0 or 1 times the largest weight
        tensor([[1., 0.]])
    """
    levels, scale = _quantize_kernel(weight.detach(), bits)
    return weight + (levels * _broadcast_scale(scale, weight) - weight).detach()


def _quantize_kernel(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return the integers, up to ±(2^(bits − 1) − 1) in each output channel, and the step of each channel."""
    if not 2 <= bits <= MAX_BITS:
        raise ValueError(f"bits is {bits}; weights can be stored in 2 to {MAX_BITS} bits each")
    max_level = 2 ** (bits - 1) - 1
    scale = weight.float().flatten(1).abs().amax(1).clamp(min=1e-12) / max_level
    return (weight.float() / _broadcast_scale(scale, weight)).round(), scale


def _compress(integers: Tensor) -> Tensor:
    """Compress int8 integers to a zlib stream (n,) of uint8, whose Huffman codes come close to their entropy."""
    return torch.frombuffer(bytearray(zlib.compress(integers.numpy().tobytes(), 9)), dtype=torch.uint8)


def _decompress(compressed: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.frombuffer(bytearray(zlib.decompress(compressed.numpy().tobytes())), dtype=torch.int8).reshape(shape)


def _broadcast_scale(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (weight.ndim - 1))
