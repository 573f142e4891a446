"""The map between two mixtures of Gaussians: one Gaussian map for each class of patches by their detail."""

from collections.abc import Mapping

import torch
from torch import Tensor

from deepot.transport.binned_moments import BinnedMoments, compute_binned_patch_moments
from deepot.transport.calibration_kind import CalibrationKind
from deepot.transport.gaussian import Affine, affine_transport
from deepot.transport.mixture_operator import MixtureTransport
from deepot.transport.shrinkage import Shrinkage


class MixtureMap:
    """The kind of map that transports one mixture of Gaussians to another.

    Each set's patches make `components` classes of equal size, by rising detail, and class k is transported to class k
    by the closed form of its own: a coupling of the mixtures in the sense of Delon & Desolneux (2020), though not the
    one of least cost that they look for.

    Parameters: matrix (k, d, d), source_mean (k, d) and target_mean (k, d) of the classes by rising detail, and bounds
    (k − 1,), the detail energies between them.
    """

    statistics = BinnedMoments

    def __init__(self, components: float) -> None:
        """Choose the number of classes.

        Raises:
            ValueError: It is not a whole number from 1 on.
        """
        if components < 1 or not float(components).is_integer():
            raise ValueError(f"the number of mixture components is {components:g}, it must be a whole number from 1 on")
        self.components = int(components)

    @property
    def name(self) -> str:
        """The spec of this kind."""
        return f"mixture:components={self.components}"

    def check_settings(self, patch_size: int, calibration: CalibrationKind) -> None:
        """Refuse patches without detail, and sets that show different scenes.

        Raises:
            ValueError: The patch size is 1, or the calibration is unpaired.
        """
        if self.components > 1 and patch_size == 1:
            raise ValueError(
                "mixture components separate patches by their detail, and patches of size 1 have none: use patch_size 3"
            )
        if self.components > 1 and not calibration.has_same_scenes:
            raise ValueError(
                f"there are {self.components} mixture components, but the two sets show different scenes: one may show "
                "more texture than the other, and then classes do not match; calibrate with calibration.degradation, "
                "or leave transport.mixture_components at 1"
            )

    def measure(self, latents: Tensor, patch_size: int) -> BinnedMoments:
        """Return the moments of all overlapping p×p patches of one image's latents (1, c, h, w), by their detail."""
        return compute_binned_patch_moments(latents, patch_size)

    def fit(self, source: BinnedMoments, reference: BinnedMoments, shrinkage: Shrinkage) -> dict[str, Tensor]:
        """Fit the closed form for each class, all of them shrunk alike.

        Raises:
            MomentsError: There are fewer than two patches a class.
        """
        sides = source.quantile_classes(self.components), reference.quantile_classes(self.components)
        pairs = zip(*(side.gaussians for side in sides), strict=True)
        maps = [affine_transport(before, after, shrinkage) for before, after in pairs]
        stacked = {name: torch.stack([getattr(each, name) for each in maps]) for name in Affine._fields}
        return stacked | {"bounds": sides[0].bounds}

    def parameter_shapes(self, dimension: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the stacked matrices and means, and of the bounds."""
        k = self.components
        means = {"source_mean": (k, dimension), "target_mean": (k, dimension)}
        return {"matrix": (k, dimension, dimension), **means, "bounds": (k - 1,)}

    def make_operator(
        self,
        parameters: Mapping[str, Tensor],
        patch_size: int,
        *,
        dtype: torch.dtype,
        device: torch.device | str,
        keep_mean: bool,
    ) -> MixtureTransport:
        """Return the map as an operator that sorts patches into classes; `keep_mean` holds for each class."""
        stacked = zip(*(parameters[name] for name in Affine._fields), strict=True)
        maps = [Affine(*fields) for fields in stacked]
        pairs = [(each.matrix, each.bias(keep_mean=keep_mean)) for each in maps]
        return MixtureTransport(pairs, parameters["bounds"], patch_size, dtype=dtype, device=device)
