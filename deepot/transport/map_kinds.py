"""The kinds of map: what each has to provide, and the registry of those there are.

A kind of map is one class: it knows which statistics of latent patches the map is fitted from, how it is fitted, which
tensors its file holds and what operator on latents they make. Everything else (calibration from photos, map files, the
pipeline) asks the class, so a further kind is a module with its class and a line in `MAP_KINDS`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor

from deepot.spec import build_from_spec, parse_spec
from deepot.transport.calibration_kind import CalibrationKind
from deepot.transport.gaussian_map import GaussianMap
from deepot.transport.merging import Mergeable
from deepot.transport.mixture_map import MixtureMap
from deepot.transport.moments import Moments
from deepot.transport.shrinkage import Shrinkage

LatentOperator = Callable[[Tensor], Tensor]
"""Latents (B, c, h, w) → transported latents (B, c, h, w)."""


class PatchStatistics(Mergeable, Protocol):
    """Statistics of latent patches that a kind of map is fitted from; `Moments` are the simplest."""

    @classmethod
    def empty(cls, dimension: int) -> Self:
        """Return the statistics of no patches in R^dimension: the neutral element of `merge`."""

    @classmethod
    def from_bytes(cls, data: bytes, name: str = ...) -> Self:
        """Read what `to_bytes` returned.

        Raises:
            MomentsError: `data`, called `name` in the message, is something else.
        """

    def to_bytes(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """Return the statistics as a file; equal statistics and metadata give equal bytes."""

    def moments(self) -> Moments:
        """Return the moments of the same patches, from which uncertainty, drift and distances are computed."""


StatisticsT = TypeVar("StatisticsT", bound=PatchStatistics)


class MapKind(Protocol[StatisticsT]):
    """A kind of transport map of latent patches, with its settings.

    Attributes:
        name: The text that `load_map_kind` makes this kind from, all settings included.
        statistics: The class of the statistics that it is fitted from.
    """

    @property
    def name(self) -> str:
        """See the class."""

    @property
    def statistics(self) -> type[StatisticsT]:
        """See the class."""

    def check_settings(self, patch_size: int, calibration: CalibrationKind) -> None:
        """Refuse a patch size or a calibration that this kind cannot be fitted with.

        Raises:
            ValueError: It cannot; the message names the way out.
        """

    def measure(self, latents: Tensor, patch_size: int) -> StatisticsT:
        """Return the statistics of all overlapping p×p patches of one image's latents (1, c, h, w)."""

    def fit(self, source: StatisticsT, reference: StatisticsT, shrinkage: Shrinkage) -> dict[str, Tensor]:
        """Fit a map from restored to natural patches.

        Args:
            source: Statistics of the restored images.
            reference: Statistics of the natural images.
            shrinkage: How far the parts of the map go from the identity to the full map T.

        Returns:
            The parameters of the map by name, float64: the tensors that its file holds.

        Raises:
            MomentsError: There are too few patches.
        """

    def parameter_shapes(self, dimension: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the parameters by name, for patches in R^dimension."""

    def make_operator(
        self,
        parameters: Mapping[str, Tensor],
        patch_size: int,
        *,
        dtype: torch.dtype,
        device: torch.device | str,
        keep_mean: bool,
    ) -> LatentOperator:
        """Return the map as an operator on latents of this dtype and device, without its mean shift if `keep_mean`."""


MAP_KINDS: dict[str, Callable[..., MapKind[Any]]] = {"gaussian": GaussianMap, "mixture": MixtureMap}
"""The kinds of map by name; the arguments of a class are the options of its spec."""


def load_map_kind(text: str) -> MapKind[Any]:
    """Build a kind of map from its spec: "gaussian", "mixture:components=3".

    Raises:
        SpecError: The name is unknown or an option is out of range.

    Example:
        >>> import deepot
        >>> deepot.load_map_kind("mixture:components=3").statistics.__name__
        'BinnedMoments'
    """
    kind: MapKind[Any] = build_from_spec(parse_spec(text), MAP_KINDS, "kind of map")
    return kind
