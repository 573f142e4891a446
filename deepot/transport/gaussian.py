"""The optimal transport map and the Wasserstein distance between two Gaussians, in float64."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from deepot.transport.linalg import eigenvalues_psd, eigh_psd, nearest_psd, sqrt_psd, symmetrise
from deepot.transport.shrinkage import Shrinkage

RANGE_RTOL = 1e-10
"""Directions of the source whose variance is below this fraction of the largest count as having none."""


class Gaussian(NamedTuple):
    """A Gaussian N(mean, covariance): mean (d,), covariance (d, d), float64.

    Example:
        >>> import deepot, torch
        >>> standard = deepot.Gaussian(torch.zeros(2).double(), torch.eye(2).double())
        >>> standard.covariance.trace()
        tensor(2., dtype=torch.float64)
    """

    mean: Tensor
    covariance: Tensor


class Affine(NamedTuple):
    """The map x ↦ matrix (x − source_mean) + target_mean: matrix (d, d), means (d,), float64."""

    matrix: Tensor
    source_mean: Tensor
    target_mean: Tensor

    def bias(self, *, keep_mean: bool = False) -> Tensor:
        """Return the b (d,) of x ↦ matrix x + b, without the mean shift if `keep_mean`."""
        return (self.source_mean if keep_mean else self.target_mean) - self.matrix @ self.source_mean


def affine_transport(source: Gaussian, target: Gaussian, shrinkage: Shrinkage | None = None) -> Affine:
    """Return the optimal transport map T between two Gaussians, shrunk towards the identity.

    Shrunk by one factor λ it is x + λ (T(x) − x), which maps the source to a point of the geodesic between the two
    (McCann 1997; Freirich et al. 2021).
    """
    matrix = transport_matrix(source.covariance, target.covariance)
    if shrinkage is None:
        return Affine(matrix, source.mean, target.mean)
    return Affine(shrinkage.shrink_matrix(matrix), source.mean, torch.lerp(source.mean, target.mean, shrinkage.mean))


def transport_matrix(source: Tensor, reference: Tensor, rtol: float = RANGE_RTOL) -> Tensor:
    """Return the matrix T of the optimal transport map between two centred Gaussians.

    T = Σs^-½ (Σs^½ Σr Σs^½)^½ Σs^-½ (Olkin & Pukelsheim 1982; Adrai et al. 2023, eq. 3), in the range of Σs; in
    directions without variance (eigenvalues of Σs up to `rtol` · λmax) T is the identity.

    Args:
        source: Σs (d, d), symmetric positive semi-definite.
        reference: Σr (d, d), symmetric positive semi-definite.
        rtol: Relative bound of the range of Σs.

    Returns:
        T (d, d), symmetric positive semi-definite, float64, with T Σs Tᵀ = Σr on the range of Σs.

    Example:
        >>> import deepot, torch
        >>> deepot.transport_matrix(torch.diag(torch.tensor([1.0, 4.0])), torch.diag(torch.tensor([9.0, 4.0]))).round()
        tensor([[3., 0.],
                [0., 1.]], dtype=torch.float64)
    """
    values, vectors = eigh_psd(source)
    in_range = values > rtol * values.max().clamp(min=torch.finfo(torch.float64).tiny)
    basis, deviation = vectors[:, in_range], values[in_range].sqrt()
    reference_in_range = basis.mT @ nearest_psd(reference) @ basis
    middle = sqrt_psd(deviation[:, None] * reference_in_range * deviation) / torch.outer(deviation, deviation)
    null_basis = vectors[:, ~in_range]
    return symmetrise(basis @ middle @ basis.mT + null_basis @ null_basis.mT)


def wasserstein2_squared(a: Gaussian, b: Gaussian) -> float:
    """Return the squared Wasserstein-2 distance ‖μa − μb‖² + tr(Σa + Σb − 2 (Σa^½ Σb Σa^½)^½), ≥ 0.

    The closed form for two Gaussians is that of Dowson & Landau 1982.

    Example:
        >>> import deepot, torch
        >>> a = deepot.Gaussian(torch.zeros(2).double(), torch.eye(2).double())
        >>> b = deepot.Gaussian(torch.tensor([3.0, 0.0]).double(), 4 * torch.eye(2).double())
        >>> round(deepot.wasserstein2_squared(a, b), 6)  # 3² + 2 · (2 − 1)²
        11.0
    """
    return wasserstein2_squared_from(a)(b)


def wasserstein2_squared_from(a: Gaussian) -> Callable[[Gaussian], float]:
    """Return a function b ↦ `wasserstein2_squared(a, b)` that takes the root of a's covariance only once."""
    root = sqrt_psd(a.covariance)

    def distance_to(b: Gaussian) -> float:
        cross = eigenvalues_psd(root @ b.covariance.double() @ root).sqrt().sum()
        spread = a.covariance.trace() + b.covariance.trace() - 2 * cross
        return max(0.0, float((a.mean - b.mean).square().sum() + spread))

    return distance_to
