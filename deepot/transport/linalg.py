"""Symmetric positive semi-definite matrices: their spectrum and their roots, in float64."""

import torch
from torch import Tensor


def eigh_psd(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Spectrum of a symmetric positive semi-definite matrix.

    Args:
        matrix: (d, d), symmetric up to rounding; eigenvalues that rounding has made negative are set to 0.

    Returns:
        Eigenvalues (d,) ascending and ≥ 0, eigenvectors (d, d) in columns, float64.
    """
    values, vectors = torch.linalg.eigh(symmetrise(matrix.double()))
    return values.clamp(min=0), vectors


def eigenvalues_psd(matrix: Tensor) -> Tensor:
    """The eigenvalues of `eigh_psd` alone, which takes a part of the time."""
    values: Tensor = torch.linalg.eigvalsh(symmetrise(matrix.double()))
    return values.clamp(min=0)


def symmetrise(matrix: Tensor) -> Tensor:
    """(M + Mᵀ) / 2 of a (d, d) matrix."""
    return (matrix + matrix.mT) / 2


def sqrt_psd(matrix: Tensor) -> Tensor:
    """The symmetric positive semi-definite square root of a (d, d) matrix, float64."""
    values, vectors = eigh_psd(matrix)
    return symmetrise((vectors * values.sqrt()) @ vectors.mT)


def nearest_psd(matrix: Tensor) -> Tensor:
    """The nearest positive semi-definite matrix in the Frobenius norm (Higham 1988): negative eigenvalues cut at 0."""
    values, vectors = eigh_psd(matrix)
    return symmetrise((vectors * values) @ vectors.mT)
