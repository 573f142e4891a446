"""Spectrum and square root of symmetric positive semi-definite matrices, in float64."""

import torch
from torch import Tensor


def eigh_psd(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the spectrum of a symmetric positive semi-definite matrix.

    Args:
        matrix: (d, d), symmetric up to rounding; eigenvalues that rounding has made negative are set to 0.

    Returns:
        Eigenvalues (d,) ascending and ≥ 0, eigenvectors (d, d) in columns, float64.
    """
    values, vectors = torch.linalg.eigh(symmetrise(matrix.double()))
    return values.clamp(min=0), vectors


def eigenvalues_psd(matrix: Tensor) -> Tensor:
    """Return only the eigenvalues of `eigh_psd`, in a fraction of the time."""
    values: Tensor = torch.linalg.eigvalsh(symmetrise(matrix.double()))
    return values.clamp(min=0)


def symmetrise(matrix: Tensor) -> Tensor:
    """Return (M + Mᵀ) / 2 of a (d, d) matrix M."""
    return (matrix + matrix.mT) / 2


def sqrt_psd(matrix: Tensor) -> Tensor:
    """Return the symmetric positive semi-definite square root of a (d, d) matrix, float64."""
    values, vectors = eigh_psd(matrix)
    return symmetrise((vectors * values.sqrt()) @ vectors.mT)


def nearest_psd(matrix: Tensor) -> Tensor:
    """Return the nearest positive semi-definite matrix in the Frobenius norm: eigenvalues clamped (Higham 1988)."""
    values, vectors = eigh_psd(matrix)
    return symmetrise((vectors * values) @ vectors.mT)
