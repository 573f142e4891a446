"""The transport map: fitted once from two sets of images, kept in one file, applied to latents."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder
from deepot.errors import MapError, SpecError
from deepot.transport.calibration_kind import CalibrationKind
from deepot.transport.change_model import BandGains, ChangeModel
from deepot.transport.error_curve import check_alpha, parse_photo_limit
from deepot.transport.gaussian import Gaussian
from deepot.transport.map_info import MapInfo
from deepot.transport.map_kinds import LatentOperator, load_map_kind
from deepot.transport.natural_test import NaturalTest
from deepot.transport.photo_curves import PhotoCurves, StrengthRule
from deepot.transport.safetensors_file import pack, unpack_metadata, unpack_tensors
from deepot.transport.tone import ToneCurve
from deepot.transport.validity import check_psd, check_tensors, has_variation

MAP_FORMAT = "deepot-map-13"
_FORMAT_PREFIX = "deepot-map-"
_REFERENCE_MEAN, _REFERENCE_COVARIANCE, _TONE = "reference_mean", "reference_covariance", "tone_shifts"
_TEST, _CURVES = "natural_tests", "photo_curves"
_PSD_PARAMETERS, _ASCENDING_PARAMETERS = {"matrix"}, {"bounds"}
"""Parameters that are covariance-like, or sorted, whatever the kind of map."""


@dataclass(frozen=True)
class TransportMap:
    """A fitted map of latent patches, and the Gaussian of natural patches that it was fitted to.

    Attributes:
        parameters: What the kind of map (`info.kind`) has fitted, float64, by name. Of a Gaussian map: the matrix T
            (d, d), symmetric positive semi-definite, and the means source_mean and target_mean (d,) of
            z ↦ T (z − source_mean) + target_mean.
        reference: The Gaussian of all natural patches.
        info: What the map was fitted from and how.
        tone: The tone curve that restored photos had applied before they were encoded, and must have in use; None if
            none was fitted.
        change: What the calibration shows about the change that the map makes; None if there were no natural photos
            to compare it with.
        natural_tests: Tests whether a photo looks natural already (`NaturalTest`): "restored" from restored
            photos, "degraded" from photos that a restorer is still to be applied to. Those that the calibration does
            not allow are missing.
        photo_curves: The error of each calibration pair at any α, which a goal of each photo needs; None without pairs.

    Example:
        >>> import deepot, torch
        >>> patches = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
        >>> moments = [[deepot.Moments.from_patches(scale * patches)] for scale in (1, 3)]
        >>> transport = deepot.fit_map(*moments, autoencoder="toy", autoencoder_sha256="0", patch_size=1,
        ...                            calibration=deepot.CalibrationKind.PAIRED)
        >>> deepot.TransportMap.from_bytes(transport.to_bytes()).sha256 == transport.sha256
        True
        >>> latents = torch.ones(1, 4, 5, 5)
        >>> torch.allclose(transport.operator_on("cpu")(latents), 3 * latents, atol=1e-5)
        True
    """

    parameters: Mapping[str, Tensor]
    reference: Gaussian
    info: MapInfo
    tone: ToneCurve | None = None
    change: ChangeModel | None = None
    natural_tests: Mapping[str, NaturalTest] = field(default_factory=dict)
    photo_curves: PhotoCurves | None = None

    def __repr__(self) -> str:
        """Return what the map is and what it was fitted from, in five lines."""
        info, change = self.info, self.change
        lines = (
            f"TransportMap: {info.kind}, patches of {info.patch_size} × {info.patch_size} latents of "
            f"'{info.autoencoder}' ({self.channels} channels)",
            f"{info.calibration} calibration: {info.calibration_summary}; W2 {info.wasserstein2:.4g}",
            info.uncertainty_summary,
            "no tone curve" if self.tone is None else f"tone curve {self.tone.summary}",
            "no gains" if change is None else f"gains of the bands of the change: {change.gains_summary}",
        )
        return "\n  ".join(lines)

    @property
    def channels(self) -> int:
        """Number of latent channels c."""
        return len(self.reference.mean) // self.info.patch_size**2

    @property
    def gains(self) -> BandGains | None:
        """The gains of the bands of the change; None for maps that were fitted without natural photos."""
        return None if self.change is None else self.change.gains

    @property
    def companion_weight(self) -> float | None:
        """The share of the companion at α = 2; None for maps that were fitted without companions."""
        return None if self.change is None or self.change.companion is None else self.change.companion.weight

    def check_autoencoder(self, autoencoder: LoadedAutoencoder) -> None:
        """Check that the map was fitted with this autoencoder.

        Raises:
            MapError: It was fitted with another one, or its patches have another number of channels.
        """
        if self.info.autoencoder_sha256 != autoencoder.sha256:
            raise MapError(
                f"the map was fitted with the autoencoder '{self.info.autoencoder}' "
                f"({self.info.autoencoder_sha256[:12]}), but this one is '{autoencoder.name}' "
                f"({autoencoder.sha256[:12]}): fit the map again, or use the autoencoder it was fitted with"
            )
        if self.channels != autoencoder.channels:
            raise MapError(
                f"the map is of latents with {self.channels} channels, but those of the autoencoder "
                f"'{autoencoder.name}' have {autoencoder.channels}: fit the map again"
            )

    def resolve_alpha(self, alpha: float | str, mode: str) -> float:
        """Return α as a number: as it is, or the one that keeps a goal, by the error curve of an output mode.

        For a goal of each photo it is the α that keeps it for all of them alike.

        Raises:
            MapError: It is a goal, and the map has no error curves, because it was not fitted from pairs.
            ArgumentError: It is neither a number of the range nor a goal (`check_alpha`).
        """
        check_alpha(alpha)
        if not isinstance(alpha, str):
            return float(alpha)
        if (rule := self.strength_rule(alpha, mode)) is not None:
            return round(1 - rule.uniform, 6)
        if self.change is None or self.change.curves is None:
            raise MapError(_missing_pairs_message(alpha, self.info.calibration))
        return self.change.curves[mode].resolve(alpha)

    def strength_rule(self, alpha: float | str, mode: str) -> StrengthRule | None:
        """Return what decides the α of each photo by its scores; None unless α is a goal of each photo.

        Raises:
            MapError: It is, and the map was measured on fewer than 19 pairs.
        """
        limit = parse_photo_limit(alpha)
        if limit is None:
            return None
        if self.photo_curves is None and self.info.calibration != CalibrationKind.PAIRED:
            raise MapError(_missing_pairs_message(alpha, self.info.calibration))
        if self.photo_curves is None:
            raise MapError(
                f"alpha is '{alpha}', which needs what each calibration pair may lose, but the map was fitted without "
                "that: fit it with the same alpha by 'deepot fit'"
            )
        return self.photo_curves.fit_rule(mode, limit)

    def operator_on(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, *, keep_mean: bool = False
    ) -> LatentOperator:
        """Return the map as an operator on latents, without its mean shift (of each class) if `keep_mean`."""
        kind = load_map_kind(self.info.kind)
        return kind.make_operator(
            self.parameters, self.info.patch_size, dtype=dtype, device=device, keep_mean=keep_mean
        )

    def to_bytes(self) -> bytes:
        """Return the map as a safetensors file; equal maps give equal bytes."""
        reference = {_REFERENCE_MEAN: self.reference.mean, _REFERENCE_COVARIANCE: self.reference.covariance}
        tensors = {name: tensor.clone() for name, tensor in {**self.parameters, **reference}.items()}
        metadata = {"format": MAP_FORMAT, "tone": None, "change": None, **asdict(self.info)}
        if self.tone is not None:
            tensors[_TONE] = self.tone.shifts
            metadata["tone"] = self.tone.record
        if self.change is not None:
            metadata["change"] = self.change.record
        for kind, test in self.natural_tests.items():
            tensors |= {f"{_TEST}.{kind}.{name}": tensor for name, tensor in test.tensors.items()}
        if self.photo_curves is not None:
            tensors |= {f"{_CURVES}.{name}": tensor for name, tensor in self.photo_curves.tensors.items()}
        metadata[_TEST] = {kind: test.record for kind, test in self.natural_tests.items()}
        return pack(tensors, metadata)

    @property
    def sha256(self) -> str:
        """SHA-256 of the map file."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "map") -> "TransportMap":
        """Read what `to_bytes` returned.

        Raises:
            MapError: `data`, called `name` in the message, is not a map file, not one of this version of deepot, or
                its numbers cannot have been fitted.
        """
        try:
            tensors, fields = unpack_tensors(data), unpack_metadata(data)
            file_format = str(fields.pop("format", ""))
            if file_format != MAP_FORMAT and file_format.startswith(_FORMAT_PREFIX):
                raise MapError(f"{name} was fitted by another version of deepot: fit it again")
            if file_format != MAP_FORMAT:
                raise MapError(f"{name} is not a deepot map (its format is '{file_format}')")
            tone = _read_tone(tensors.pop(_TONE, None), fields.pop("tone", None))
            change_record = fields.pop("change", None)
            change = None if change_record is None else ChangeModel.from_record(change_record)
            tests = _read_natural_tests(tensors, fields.pop(_TEST, {}))
            curves = _pop_group(tensors, _CURVES)
            photo_curves = PhotoCurves.from_tensors(curves) if curves else None
            info = MapInfo.from_fields(fields)
            load_map_kind(info.kind)
            reference = Gaussian(tensors.pop(_REFERENCE_MEAN), tensors.pop(_REFERENCE_COVARIANCE))
            dimension = reference.mean.numel()
            check_tensors(reference._asdict(), {"mean": (dimension,), "covariance": (dimension, dimension)})
            _check_numbers(tensors, reference, info)
        except SpecError as error:
            raise MapError(f"{name} is a map of a kind that this version of deepot does not have: {error}") from error
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise MapError(f"{name} is not a deepot map ({type(error).__name__}: {error})") from error
        return cls(tensors, reference, info, tone, change, tests, photo_curves)

    def save(self, path: Path | str) -> None:
        """Write the map file."""
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: Path | str) -> "TransportMap":
        """Read a map file.

        Raises:
            MapError: It is not a map file, or not one of this version of deepot.
        """
        return cls.from_bytes(Path(path).read_bytes(), str(path))


def _read_tone(shifts: Tensor | None, record: Any) -> ToneCurve | None:  # noqa: ANN401 - whatever the file holds
    """Return the tone curve of a map file; None if it has none.

    Raises:
        ValueError: Its numbers cannot have been fitted.
        TypeError: Its record has other fields.
    """
    if shifts is None and record is None:
        return None
    if shifts is None or not isinstance(record, dict):
        raise ValueError("its tone curve is not complete")
    return ToneCurve.from_record(shifts, record)


def _read_natural_tests(tensors: dict[str, Tensor], records: Mapping[str, Any]) -> dict[str, NaturalTest]:
    """Remove the tests of natural photos from the tensors of a map file and return them.

    Raises:
        KeyError, TypeError, ValueError: They cannot have been fitted.
    """
    return {
        kind: NaturalTest.from_record(_pop_group(tensors, f"{_TEST}.{kind}"), record)
        for kind, record in records.items()
    }


def _pop_group(tensors: dict[str, Tensor], group: str) -> dict[str, Tensor]:
    """Remove the tensors of a group from those of a map file; returns them by their names in the group."""
    names = [name for name in tensors if name.startswith(f"{group}.")]
    return {name.removeprefix(f"{group}."): tensors.pop(name) for name in names}


def _missing_pairs_message(alpha: float | str, calibration: str) -> str:
    return (
        f"alpha is '{alpha}', which needs the error that clean photos show, but the map was fitted without pairs "
        f"({calibration}): give a number, or calibrate with natural photos and a degradation"
    )


def _check_numbers(parameters: Mapping[str, Tensor], reference: Gaussian, info: MapInfo) -> None:
    """Check that the numbers of a map can have been fitted.

    Raises:
        ValueError: They cannot.
    """
    dimension = reference.mean.numel()
    if dimension == 0 or dimension % info.patch_size**2:
        raise ValueError(f"{dimension} values are no patch of {info.patch_size} × {info.patch_size} positions")
    check_tensors(parameters, load_map_kind(info.kind).parameter_shapes(dimension))
    for name in _PSD_PARAMETERS & parameters.keys():
        check_psd(name, parameters[name])
    for name in _ASCENDING_PARAMETERS & parameters.keys():
        if (parameters[name].diff() < 0).any():
            raise ValueError(f"{name} is not ascending")
    check_psd("covariance", reference.covariance)
    if not has_variation(*reference):
        raise ValueError("its natural patches are all equal")
