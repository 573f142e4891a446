"""Checks of numbers that were read from a file: whether they can be those of moments, of a Gaussian or of a map."""

from collections.abc import Mapping

import torch
from torch import Tensor

from deepot.transport.linalg import symmetrise

_MAX_VALUE = 1e60  # beyond any latent; products of a few such numbers are still finite
_MAX_COUNT = 2**53  # the largest number of patches whose neighbours float64 tells apart
_RTOL = 1e-8  # what rounding may do to a covariance, relative to its trace
_NO_VARIATION_RTOL = 1e-28  # variance that rounding leaves of equal patches, relative to the square of their mean


def check_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that tensors have these names and shapes, and are float64, finite and of a sensible size.

    Raises:
        ValueError: they are not.
    """
    if tensors.keys() != shapes.keys():
        raise ValueError(f"its tensors are {', '.join(sorted(tensors))} instead of {', '.join(sorted(shapes))}")
    for name, tensor in tensors.items():
        if tensor.shape != shapes[name]:
            raise ValueError(f"{name} of shape {tuple(tensor.shape)} instead of {shapes[name]}")
        if tensor.dtype != torch.float64 or not torch.isfinite(tensor).all():
            raise ValueError(f"{name} is not made of finite float64 numbers")
        if tensor.numel() and float(tensor.abs().max()) > _MAX_VALUE:
            raise ValueError(f"{name} has numbers as large as {float(tensor.abs().max()):.0e}")


def check_psd(name: str, matrices: Tensor) -> None:
    """Check that matrices (…, d, d), finite and float64, are symmetric positive semi-definite up to rounding.

    Raises:
        ValueError: one of them, called `name`, is not.
    """
    if not matrices.numel():
        return
    tiny = torch.finfo(torch.float64).tiny
    scaled = matrices / matrices.abs().amax((-2, -1), keepdim=True).clamp(min=tiny)
    spread = scaled.diagonal(dim1=-2, dim2=-1).abs().sum(-1)[..., None, None].clamp(min=tiny)
    if ((scaled - scaled.mT).abs() > _RTOL * spread).any():
        raise ValueError(f"{name} is not symmetric")
    identity = torch.eye(matrices.shape[-1], dtype=torch.float64)
    factorization = torch.linalg.cholesky_ex(symmetrise(scaled) + _RTOL * spread * identity)
    if factorization.info.any():
        raise ValueError(f"{name} has a negative variance")


def check_counts(count: int, images: int, scatter: Tensor) -> None:
    """Check that a number of patches and of images can belong together and to a scatter (d, d).

    Raises:
        ValueError: they cannot.
    """
    if not 0 <= images <= count <= _MAX_COUNT or (count > 0) != (images > 0):
        raise ValueError(f"it states {count:,} latent patches of {images:,} images")
    if count < 2 and scatter.any():
        raise ValueError(f"it states {count:,} latent patches, but they vary")


def has_variation(mean: Tensor, covariance: Tensor) -> bool:
    """Whether a Gaussian has any variance beyond what rounding leaves of equal patches."""
    return float(covariance.trace()) > _NO_VARIATION_RTOL * float(mean.square().sum())
