"""The discrete cosine transform of latent patches, and covariances of channels at each of its frequencies."""

import torch
from torch import Tensor


def dct_basis(patch_size: int) -> Tensor:
    """Return the orthonormal two-dimensional DCT-II of a p×p patch, (p², p²) float64, one frequency a row."""
    positions = torch.arange(patch_size, dtype=torch.float64)
    rows = torch.cos(torch.pi / patch_size * (positions + 0.5) * positions[:, None]) * (2 / patch_size) ** 0.5
    rows[0] /= 2**0.5
    return torch.kron(rows, rows)


def to_frequencies(matrix: Tensor, patch_size: int) -> Tensor:
    """Return the covariances of the channels at each frequency of a patch.

    Covariances between different frequencies are dropped: latents are nearly stationary, so these are close to 0.

    Args:
        matrix: (c·p², c·p²), float64, rows and columns ordered (channel, row, column).
        patch_size: p.

    Returns:
        (p², c, c), float64.
    """
    basis, taps = dct_basis(patch_size), patch_size**2
    by_channel = matrix.reshape(len(matrix) // taps, taps, -1, taps)
    return torch.einsum("fi,aibj,fj->fab", basis, by_channel, basis)
