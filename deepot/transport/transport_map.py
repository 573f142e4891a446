"""The transport map: fitted once from two sets of moments, kept in one file, applied to latents."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder
from deepot.errors import MapError
from deepot.transport.gaussian import Affine, Gaussian, affine_transport, wasserstein2_squared
from deepot.transport.mixture_operator import MixtureTransport
from deepot.transport.moments import Moments, merge_in_order
from deepot.transport.patch_operator import PatchTransport
from deepot.transport.uncertainty import drop_empty_blocks, estimate_uncertainty

MAP_FORMAT, MIXTURE_MAP_FORMAT = "deepot-map-5", "deepot-map-6"


class CalibrationKind(StrEnum):
    """Which two sets a map is fitted between.

    PAIRED: photos, degraded and restored, and the same photos.
    SELF: restored photos, degraded and restored once more, and the same restored photos.
    UNPAIRED: restored photos, and natural photos of other scenes.
    """

    PAIRED = "content-matched"
    SELF = "self"
    UNPAIRED = "unpaired"

    @property
    def has_same_scenes(self) -> bool:
        """Whether both sides show the same scenes."""
        return self is not CalibrationKind.UNPAIRED

    @property
    def default_shrinkage_se(self) -> float:
        """How many standard errors are taken off the map unless the user says otherwise (`uncertainty`)."""
        return 0.0 if self.has_same_scenes else UNPAIRED_SHRINKAGE_SE


UNPAIRED_SHRINKAGE_SE = 1.0
_NO_BOUNDS = torch.empty(0, dtype=torch.float64)


@dataclass(frozen=True)
class MapInfo:
    """What a map was fitted from and how.

    Attributes:
        autoencoder: name of the autoencoder, as the job gave it.
        autoencoder_sha256: of its configuration and weights; another autoencoder must not use the map.
        patch_size: p.
        calibration: content-matched, self or unpaired.
        shrinkage_se: how many standard errors were taken off it; 0: the published map.
        shrinkage_factor: how far it goes from the identity, 0, to the published map, 1.
        source_images: number of images of the restored side.
        source_patches: number of latent patches of the restored side.
        reference_images: number of images of the natural side.
        reference_patches: number of latent patches of the natural side.
        wasserstein2: W2 distance of the two sides, each as one Gaussian, in latent units.
        effective_images: of the smaller side (`MapUncertainty.images`); None if there was but one block a side.
        standard_error: of the published map, relative to its length (`MapUncertainty.standard_error`), or None.
        mixture_components: number of Gaussians a side; more than 1: a mixture.
    """

    autoencoder: str
    autoencoder_sha256: str
    patch_size: int
    calibration: str
    shrinkage_se: float
    shrinkage_factor: float
    source_images: int
    source_patches: int
    reference_images: int
    reference_patches: int
    wasserstein2: float
    effective_images: float | None
    standard_error: float | None
    mixture_components: int = 1

    @property
    def uncertainty_summary(self) -> str:
        """How far the map can be trusted, in words."""
        if self.effective_images is None or self.standard_error is None:
            return "unknown: a single image a side cannot be told from chance"
        if self.shrinkage_factor == 0:
            return (
                f"none: the two sets differ by no more than chance, by {self.effective_images:.1f} effective images "
                f"and with doubt {self.shrinkage_se:g}; the map does nothing"
            )
        used = (
            "used as it is"
            if self.shrinkage_se == 0
            else f"used for {self.shrinkage_factor:.0%} of the way (doubt {self.shrinkage_se:g})"
        )
        return (
            f"standard error {self.standard_error:.0%} of the map, by {self.effective_images:.1f} effective images; "
            + used
        )


@dataclass(frozen=True)
class TransportMap:
    """z ↦ T (z − μs) + μr on latent patches, and the reference Gaussian that natural patches follow.

    Attributes:
        components: T (d, d), symmetric positive semi-definite, μs and μr (d,), float64; with doubt T and μr are a share
            of the way there. Of a mixture one a class of patches, by rising detail.
        bounds: (len(components) − 1,), the detail energies between classes.
        reference: the Gaussian of all natural patches.
        info: where the map comes from.
    """

    components: tuple[Affine, ...]
    bounds: Tensor
    reference: Gaussian
    info: MapInfo

    @property
    def channels(self) -> int:
        """Latent channels c."""
        return len(self.reference.mean) // self.info.patch_size**2

    def check_autoencoder(self, autoencoder: LoadedAutoencoder) -> None:
        """See that the map was fitted with this autoencoder.

        Raises:
            MapError: it was fitted with another one.
        """
        if self.info.autoencoder_sha256 != autoencoder.sha256:
            raise MapError(
                f"the map was fitted with the autoencoder '{self.info.autoencoder}' ({self.info.autoencoder_sha256[:12]}), "
                f"but this one is '{autoencoder.name}' ({autoencoder.sha256[:12]}): fit again, or name the autoencoder of the map"
            )

    def operator_on(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, *, keep_mean: bool = False
    ) -> PatchTransport | MixtureTransport:
        """The map as an operator on latents, without its mean shift (of each class) if `keep_mean`."""
        maps = [(component.matrix, component.bias(keep_mean=keep_mean)) for component in self.components]
        if len(maps) > 1:
            return MixtureTransport(maps, self.bounds, self.info.patch_size, dtype=dtype, device=device)
        return PatchTransport(*maps[0], self.info.patch_size, dtype=dtype, device=device)

    def to_bytes(self) -> bytes:
        """The map as a safetensors file; equal maps give equal bytes.

        A mixture is of another format: its matrices and means are stacked, and its bounds are there.
        """
        metadata, mixture = asdict(self.info), len(self.components) > 1
        metadata["format"] = MIXTURE_MAP_FORMAT if mixture else MAP_FORMAT
        del metadata["mixture_components"]  # as many as there are
        tensors = {name: getattr(self.components[0], name) for name in Affine._fields}
        if mixture:
            tensors = {
                name: torch.stack([getattr(component, name) for component in self.components])
                for name in Affine._fields
            }
            tensors["bounds"] = self.bounds
        tensors |= {"reference_mean": self.reference.mean, "reference_covariance": self.reference.covariance}
        return save_tensors(
            {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()},
            {"deepot": json.dumps(metadata, sort_keys=True)},
        )

    @property
    def sha256(self) -> str:
        """Of the file that `to_bytes` gives."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "map") -> "TransportMap":
        """Read what `to_bytes` wrote.

        Raises:
            MapError: `data` (called `name` in the message) is not a map file.
        """
        try:
            tensors = load_tensors(data)
            info = json.loads(_read_metadata(data)["deepot"])
            file_format = info.pop("format")
            if file_format not in (MAP_FORMAT, MIXTURE_MAP_FORMAT):
                raise MapError(f"{name} was fitted by another version of deepot: fit it again")
            stacked = [
                tensors[field] if file_format == MIXTURE_MAP_FORMAT else tensors[field][None]
                for field in Affine._fields
            ]
            components = tuple(Affine(*fields) for fields in zip(*stacked, strict=True))
            bounds = tensors["bounds"] if file_format == MIXTURE_MAP_FORMAT else _NO_BOUNDS
            reference = Gaussian(tensors["reference_mean"], tensors["reference_covariance"])
            _check_shapes(tensors, len(components) if file_format == MIXTURE_MAP_FORMAT else None, name)
            return cls(components, bounds, reference, MapInfo(**info, mixture_components=len(components)))
        except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise MapError(f"{name} is not a deepot map ({type(error).__name__}: {error})") from error

    def save(self, path: Path | str) -> None:
        """Write the map file."""
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: Path | str) -> "TransportMap":
        """Read a map file.

        Raises:
            MapError: not a map file.
        """
        return cls.from_bytes(Path(path).read_bytes(), str(path))


def fit_map(
    source: Sequence[Moments],
    reference: Sequence[Moments],
    *,
    autoencoder: str,
    autoencoder_sha256: str,
    patch_size: int,
    calibration: CalibrationKind,
    shrinkage_se: float | None = None,
) -> TransportMap:
    """Fit the transport map from restored to natural latent patches.

    Without doubt it is the closed form (Adrai et al. 2023, eq. 3). With any it is x + λ (T(x) − x), a point of the
    geodesic between the two Gaussians (McCann 1997): λ is what is left of the way when `shrinkage_se` standard errors are
    taken off (`uncertainty`). Spread and mean go the same part of the way, because one makes up for the other.

    Args:
        source: moments of the restored images' patches, in blocks of one image or of some; for paired calibrations,
            block number i of both sides is of the same scenes.
        reference: moments of natural images' patches, gathered with the same codec and patch size.
        autoencoder: name of the autoencoder.
        autoencoder_sha256: its fingerprint.
        patch_size: p.
        calibration: which sets these are.
        shrinkage_se: how many standard errors are taken off; the calibration's own if None.

    Raises:
        MomentsError: fewer than two patches on a side, with doubt fewer than two blocks, or pairs that are none.
        ValueError: a doubt below 0, or none at all.
    """
    shrinkage_se = calibration.default_shrinkage_se if shrinkage_se is None else shrinkage_se
    if not 0 <= shrinkage_se < math.inf:
        raise ValueError(f"doubt is {shrinkage_se}, it must be a number from 0 on")
    source, reference = drop_empty_blocks(source, reference, paired=calibration.has_same_scenes)
    source_moments, reference_moments = merge_in_order(source), merge_in_order(reference)
    source_gaussian, reference_gaussian = source_moments.gaussian(), reference_moments.gaussian()
    uncertainty = None
    if shrinkage_se or min(len(source), len(reference)) > 1:
        uncertainty = estimate_uncertainty(source, reference, patch_size, paired=calibration.has_same_scenes)
    shrinkage_factor = uncertainty.shrinkage_factor(shrinkage_se) if uncertainty else 1.0
    info = MapInfo(
        autoencoder,
        autoencoder_sha256,
        patch_size,
        calibration.value,
        shrinkage_se,
        shrinkage_factor,
        source_moments.images,
        source_moments.count,
        reference_moments.images,
        reference_moments.count,
        math.sqrt(wasserstein2_squared(source_gaussian, reference_gaussian)),
        uncertainty.effective_images if uncertainty else None,
        uncertainty.standard_error if uncertainty else None,
    )
    return TransportMap(
        (affine_transport(source_gaussian, reference_gaussian, shrinkage_factor),), _NO_BOUNDS, reference_gaussian, info
    )


def _check_shapes(tensors: dict[str, Tensor], n_components: int | None, name: str) -> None:
    """All of one dimension, float64 and finite; of a mixture the affine maps are stacked.

    Raises:
        MapError: they are not.
    """
    dimension = tensors["reference_mean"].numel()
    shapes = {"reference_mean": (dimension,), "reference_covariance": (dimension, dimension)}
    leading = () if n_components is None else (n_components,)
    shapes |= {key: (*leading, dimension, *((dimension,) * (key == "matrix"))) for key in Affine._fields}
    for key, shape in shapes.items():
        if tensors[key].shape != shape:
            raise MapError(f"{name} is not a deepot map ({key} of shape {tuple(tensors[key].shape)})")
        if tensors[key].dtype != torch.float64 or not torch.isfinite(tensors[key]).all():
            raise MapError(f"{name} is not a deepot map ({key} is not made of finite float64 numbers)")


def _read_metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    header: dict[str, dict[str, str]] = json.loads(data[8 : 8 + length])
    return header["__metadata__"]
