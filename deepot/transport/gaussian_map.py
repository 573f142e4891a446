"""The map between two Gaussians of latent patches, as published (Adrai et al. 2023)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from deepot.transport.calibration_kind import CalibrationKind
from deepot.transport.gaussian import Affine, affine_transport
from deepot.transport.moments import Moments
from deepot.transport.patch_moments import compute_patch_moments
from deepot.transport.patch_operator import PatchTransport
from deepot.transport.shrinkage import Shrinkage


class GaussianMap:
    """The kind of map that transports one Gaussian to another.

    Parameters: those of `Affine`: matrix (d, d), source_mean (d,) and target_mean (d,).
    """

    name = "gaussian"
    statistics = Moments

    def check_settings(self, patch_size: int, calibration: CalibrationKind) -> None:
        """Accept every patch size and calibration."""

    def measure(self, latents: Tensor, patch_size: int) -> Moments:
        """Return the moments of all overlapping p×p patches of one image's latents (1, c, h, w)."""
        return compute_patch_moments(latents, patch_size)

    def fit(self, source: Moments, reference: Moments, shrinkage: Shrinkage) -> dict[str, Tensor]:
        """Fit the closed form (Adrai et al. 2023, eq. 3), and shrink it.

        Raises:
            MomentsError: There are fewer than two patches in a set.
        """
        return affine_transport(source.gaussian(), reference.gaussian(), shrinkage)._asdict()

    def parameter_shapes(self, dimension: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the matrix and the means."""
        return {"matrix": (dimension, dimension), "source_mean": (dimension,), "target_mean": (dimension,)}

    def make_operator(
        self,
        parameters: Mapping[str, Tensor],
        patch_size: int,
        *,
        dtype: torch.dtype,
        device: torch.device | str,
        keep_mean: bool,
    ) -> PatchTransport:
        """Return the map as one convolution."""
        affine = Affine(**parameters)
        bias = affine.bias(keep_mean=keep_mean)
        return PatchTransport(affine.matrix, bias, patch_size, dtype=dtype, device=device)
