"""Gaussians: the optimal transport map and the Wasserstein distance between two of them, in float64."""

from typing import NamedTuple

import torch
from torch import Tensor

from deepot.linalg import eigh_psd, nearest_psd, sqrt_psd, symmetrise

RANGE_RTOL = 1e-10
"""Directions of the source whose variance is below this share of the largest count as having none."""


class Gaussian(NamedTuple):
    """A Gaussian N(mean, covariance): mean (d,), covariance (d, d), float64."""

    mean: Tensor
    covariance: Tensor


def transport_matrix(source: Tensor, reference: Tensor, rtol: float = RANGE_RTOL) -> Tensor:
    """The matrix T of the optimal transport map between two centred Gaussians.

    T = Σs^-½ (Σs^½ Σr Σs^½)^½ Σs^-½ (Olkin & Pukelsheim 1982; Adrai et al. 2023, eq. 3), taken in the range of Σs;
    directions in which Σs has no variance (eigenvalues up to `rtol` · λmax) are left alone: T is the identity there.

    Args:
        source: Σs (d, d), symmetric positive semi-definite.
        reference: Σr (d, d), symmetric positive semi-definite.
        rtol: relative bound of the range of Σs.

    Returns:
        T (d, d), symmetric positive semi-definite, float64, with T Σs Tᵀ = Σr on the range of Σs.
    """
    values, vectors = eigh_psd(source)
    inside = values > rtol * values.max().clamp(min=torch.finfo(torch.float64).tiny)
    basis, deviation = vectors[:, inside], values[inside].sqrt()
    within = basis.mT @ nearest_psd(reference) @ basis
    middle = sqrt_psd(deviation[:, None] * within * deviation) / torch.outer(deviation, deviation)
    outside = vectors[:, ~inside]
    return symmetrise(basis @ middle @ basis.mT + outside @ outside.mT)


def wasserstein2_squared(a: Gaussian, b: Gaussian) -> float:
    """Squared Wasserstein-2 distance: ‖μa − μb‖² + tr(Σa + Σb − 2 (Σa^½ Σb Σa^½)^½) (Dowson & Landau 1982), ≥ 0."""
    root = sqrt_psd(a.covariance)
    cross = eigh_psd(root @ b.covariance.double() @ root)[0].sqrt().sum()
    spread = a.covariance.trace() + b.covariance.trace() - 2 * cross
    return max(0.0, float((a.mean - b.mean).square().sum() + spread))
