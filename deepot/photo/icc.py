"""Conversion between samples with an ICC profile and sRGB, by littleCMS."""

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import lru_cache
from typing import Any, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from deepot.photo.icc_inverse import build_inverse_profile, decode_margin

ColourModel = Literal["gray", "rgb", "cmyk"]
_COLOUR_MODELS: dict[tuple[bytes, int], ColourModel] = {(b"GRAY", 1): "gray", (b"RGB ", 3): "rgb", (b"CMYK", 4): "cmyk"}
_NO_OPTIMIZE_FLAG = 0x0100  # cmsFLAGS_NOOPTIMIZE: littleCMS's 16-bit tables are wrong by up to 0.1 in the shadows
_RELATIVE_COLORIMETRIC = 1  # rendering intent that maps white to white
_SRGB_TOLERANCE = 1.5 / 255
_MAX_ROUND_TRIP_ERROR = 8 / 255  # of most colours, from samples to sRGB, back, and to sRGB again
_MOST_COLOURS = 0.9


class ProfileUse(Enum):
    """What an ICC profile means for the samples of a photo.

    NONE: there is no profile, or it belongs to samples of another colour model, which viewers ignore.
    SRGB: it describes sRGB; without it viewers show the same.
    CONVERTED: it describes other colours.
    UNUSABLE: it cannot be read here; what colours it describes is not known.
    """

    NONE = auto()
    SRGB = auto()
    CONVERTED = auto()
    UNUSABLE = auto()


@dataclass(frozen=True)
class ColourSpace:
    """The colour space of a photo whose samples are not sRGB.

    Attributes:
        profile: its ICC profile.
        model: colour model of its samples.
        inverse: the computed profile that leads from colours to samples; None if `profile` does.
    """

    profile: bytes = field(repr=False)
    model: ColourModel
    inverse: bytes | None = field(default=None, repr=False)

    def to_srgb(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        """Convert samples (H, W, C), uint8 or uint16, to sRGB (H, W, 3).

        Colours outside the gamut of sRGB lie outside [0, 1].
        """
        return self._to_srgb(_as_fractions(samples))

    def delta_to_samples(self, samples: NDArray[Any], srgb_delta: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert a difference in sRGB to a difference in sample values.

        The colours before and after are both converted by the profile, so that a difference of 0 changes nothing even
        if the tables of the profile are coarse. What tables lead back to, of inks and those that were computed, is
        corrected once, by the colours that it has.

        Args:
            samples: the samples before, (H, W, C), uint8 or uint16.
            srgb_delta: the difference in sRGB, (H, W, 3), relative to a range of [0, 1].

        Returns:
            The difference of samples, (H, W, C), relative to a range of [0, 1].
        """
        start = _as_fractions(samples)
        before = self._to_srgb(start)
        target = self._from_srgb(before + srgb_delta)
        delta = target - self._from_srgb(before)
        if self.inverse is None and self.model != "cmyk":
            return delta
        reached = (start + delta).clip(0, 1)
        corrected: NDArray[np.float32] = reached + (target - self._from_srgb(self._to_srgb(reached))) - start
        return corrected

    def _to_srgb(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert samples as fractions of their range."""
        source: NDArray[Any] = values
        if self.model != "rgb":  # RGB as float32, so that nothing is clipped
            source = np.rint(values * 65535).astype(np.uint16)
        return self._transform(source, self.profile, self.model, _srgb_profile(), "rgb", "float32")

    def _from_srgb(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        dtype = "float32" if self.model == "rgb" else "uint16"
        result = self._transform(values, _srgb_profile(), "rgb", self.inverse or self.profile, self.model, dtype)
        result = result if self.model == "rgb" else result / np.float32(65535)
        return result if self.inverse is None else decode_margin(result)

    @staticmethod
    def _transform(
        values: NDArray[Any], profile: bytes, model: ColourModel, target: bytes, target_model: ColourModel, dtype: str
    ) -> NDArray[np.float32]:
        result: NDArray[Any] = imagecodecs.cms_transform(
            np.ascontiguousarray(values[:, :, 0] if model == "gray" else values),
            profile,
            target,
            colorspace=model,
            outcolorspace=target_model,
            outdtype=dtype,
            intent=_RELATIVE_COLORIMETRIC,
            flags=_NO_OPTIMIZE_FLAG,
        )
        return result.reshape(*values.shape[:2], -1).astype(np.float32, copy=False)


def _as_fractions(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return samples of uint8 or uint16 as fractions of their range."""
    wide = samples.astype(np.uint16) * 257 if samples.dtype == np.uint8 else samples
    fractions: NDArray[np.float32] = wide.astype(np.float32) / np.float32(65535)
    return fractions


def load_colour_space(profile: bytes | None, channels: int) -> ColourSpace | None:
    """Return the colour space that the ICC profile of a photo describes, if its samples must be converted.

    A profile that leads from samples to colours only, as those of scanners may, gets a computed way back.

    Args:
        profile: the profile, or None.
        channels: number of channels of the samples: 1 for grey, 3 for RGB, 4 for CMYK.

    Returns:
        The colour space; None if the samples are used without conversion, as viewers do: see `classify_profile`.

    Example:
        >>> import imagecodecs
        >>> load_colour_space(bytes(imagecodecs.cms_profile("srgb")), 3) is None  # sRGB needs no conversion
        True
    """
    return _load(profile, channels)[1]


def classify_profile(profile: bytes | None, channels: int) -> ProfileUse:
    """Return what an ICC profile means for samples with a number of channels: 1 for grey, 3 for RGB, 4 for CMYK.

    Example:
        >>> classify_profile(b"no profile at all", 3)
        <ProfileUse.UNUSABLE: 4>
    """
    return _load(profile, channels)[0]


@lru_cache(maxsize=64)
def _load(profile: bytes | None, channels: int) -> tuple[ProfileUse, ColourSpace | None]:
    if not profile:
        return ProfileUse.NONE, None
    model = _COLOUR_MODELS.get((profile[16:20], channels))
    if model is None:
        return ProfileUse.NONE if _is_header(profile) else ProfileUse.UNUSABLE, None
    steps = np.linspace(0, 65535, 9).round().astype(np.uint16)
    probe = np.stack(np.meshgrid(*[steps] * min(channels, 3), indexing="ij"), -1).reshape(1, -1, min(channels, 3))
    if channels == 4:
        probe = np.dstack([probe, probe[:, :, :1]])
    found = ColourSpace(profile, model)
    try:
        colours = found.to_srgb(probe)
        if not np.isfinite(colours).all():
            return ProfileUse.UNUSABLE, None
        if model != "cmyk" and np.abs(colours - probe / np.float32(65535)).max() <= _SRGB_TOLERANCE:
            return ProfileUse.SRGB, None
        if not _leads_back(found, probe, colours):
            found = replace(found, inverse=build_inverse_profile(profile, channels))
    except (RuntimeError, ValueError):  # imagecodecs' CmsError is a RuntimeError
        return ProfileUse.UNUSABLE, None
    return ProfileUse.CONVERTED, found


def _is_header(profile: bytes) -> bool:
    """Whether the bytes begin like an ICC profile."""
    return profile[36:40] == b"acsp"


def _leads_back(space: ColourSpace, probe: NDArray[np.uint16], colours: NDArray[np.float32]) -> bool:
    """Whether the profile itself leads from colours to samples that have these colours."""
    try:
        samples = space._from_srgb(colours)
    except (RuntimeError, ValueError):
        return False
    if not np.isfinite(samples).all():
        return False
    if space.model != "rgb":  # grey has no sample for every colour, and the inks of presses do not reach all
        return True
    error = np.abs(space._to_srgb(samples.clip(0, 1)) - colours).max(-1)
    return bool(np.quantile(error, _MOST_COLOURS) <= _MAX_ROUND_TRIP_ERROR)


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    return bytes(imagecodecs.cms_profile("srgb"))
