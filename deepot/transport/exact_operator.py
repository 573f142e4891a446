"""The map between two Gaussians with results that have the same bits on every processor.

Latents and kernels are rounded to multiples of steps, powers of two, so small that float64 holds every partial sum of
a convolution exactly, whatever its order.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from deepot.errors import MapError
from deepot.fixed_order import sum_in_order
from deepot.transport.gaussian import Affine
from deepot.transport.map_info import MapInfo
from deepot.transport.patch_operator import PatchTransport

_EXACT_BITS = 53  # of integers in float64
_LATENT_BITS, _LATENT_STEP_BITS = 24, 16  # latents are multiples of 2⁻¹⁶ in ±2⁸
_MAX_TRANSPORTED_VALUES = 250_000  # latent values transported at a time: their patches take 50 MB if p is 3


class ExactPatchTransport(PatchTransport):
    """`PatchTransport` with exact sums.

    Example:
        >>> import torch
        >>> from deepot.transport import ExactPatchTransport
        >>> operator = ExactPatchTransport(2 * torch.eye(9), torch.ones(9), patch_size=3)
        >>> latents = torch.arange(12.0).reshape(1, 1, 3, 4)
        >>> torch.equal(operator(latents), 2 * latents + 1)
        True
    """

    max_values = _MAX_TRANSPORTED_VALUES

    def __init__(self, matrix: Tensor, bias: Tensor, patch_size: int) -> None:
        """Keep the map, as `PatchTransport` does; on the CPU, in float64."""
        super().__init__(matrix, bias, patch_size, dtype=torch.float64)

    def __call__(self, latents: Tensor) -> Tensor:
        """Transport latents (1, c, h, w), float32; returns the same shape, float32."""
        limit = 2.0**_LATENT_BITS - 1
        steps = (latents.double() * 2.0**_LATENT_STEP_BITS).round_().clamp_(-limit, limit)
        return super().__call__(steps.mul_(2.0**-_LATENT_STEP_BITS)).float()

    def _make_kernel(self, rows: tuple[range, ...], columns: tuple[range, ...]) -> tuple[Tensor, Tensor]:
        """Return kernels and biases in multiples of a step."""
        kernel, bias = super()._make_kernel(rows, columns)
        largest = sum_in_order(kernel.abs().flatten(1), 1).max() + bias.abs().max()
        bits = _EXACT_BITS - _LATENT_BITS - 2 - max(0, math.frexp(float(largest))[1])
        step = 2.0**-bits
        bias_step = step * 2.0**-_LATENT_STEP_BITS
        return (kernel / step).round_().mul_(step), (bias / bias_step).round_().mul_(bias_step)


def make_exact_operator(parameters: Mapping[str, Tensor], info: MapInfo, *, keep_mean: bool) -> ExactPatchTransport:
    """Return a map as an exact operator on latents, without its mean shift if `keep_mean`.

    Args:
        parameters: Those of a Gaussian map (`Affine`).
        info: What the map was fitted from and how.
        keep_mean: Whether the mean shift is left out.

    Raises:
        MapError: It is a map of another kind.
    """
    if info.kind != "gaussian":
        raise MapError(
            f"the map is of the kind '{info.kind}', and the autoencoder is exact: only maps of a single Gaussian "
            "(transport.mixture_components: 1) can be applied exactly; set dtype to float32, or fit such a map"
        )
    affine = Affine(**parameters)
    products = sum_in_order(affine.matrix * affine.source_mean, 1)
    bias = (affine.source_mean if keep_mean else affine.target_mean) - products
    return ExactPatchTransport(affine.matrix, bias, info.patch_size)
