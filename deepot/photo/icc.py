"""Conversion between samples with an ICC profile and sRGB, by littleCMS."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

ColourModel = Literal["gray", "rgb", "cmyk"]
_COLOUR_MODELS: dict[tuple[bytes, int], ColourModel] = {(b"GRAY", 1): "gray", (b"RGB ", 3): "rgb", (b"CMYK", 4): "cmyk"}
_NO_OPTIMIZE_FLAG = 0x0100  # cmsFLAGS_NOOPTIMIZE: littleCMS's 16-bit tables are wrong by up to 0.1 in the shadows
_RELATIVE_COLORIMETRIC = 1  # rendering intent that maps white to white
_SRGB_TOLERANCE = 1.5 / 255


@dataclass(frozen=True)
class ColourSpace:
    """The colour space of a photo whose samples are not sRGB.

    Attributes:
        profile: its ICC profile.
        model: colour model of its samples.
    """

    profile: bytes = field(repr=False)
    model: ColourModel

    def to_srgb(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        """Convert samples (H, W, C), uint8 or uint16, to sRGB (H, W, 3).

        Colours outside the gamut of sRGB lie outside [0, 1].
        """
        values = samples.astype(np.uint16) * 257 if samples.dtype == np.uint8 else samples
        if self.model == "rgb":  # as float32, so that nothing is clipped
            values = values.astype(np.float32) / 65535
        return self._transform(values, self.profile, self.model, _srgb_profile(), "rgb", "float32")

    def delta_to_samples(self, samples: NDArray[Any], srgb_delta: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert a difference in sRGB to a difference in sample values.

        The colours before and after are both converted by the profile, so that a difference of 0 changes nothing even
        if the tables of the profile are coarse.

        Args:
            samples: the samples before, (H, W, C), uint8 or uint16.
            srgb_delta: the difference in sRGB, (H, W, 3), relative to a range of [0, 1].

        Returns:
            The difference of samples, (H, W, C), relative to a range of [0, 1].
        """
        before = self.to_srgb(samples)
        after = self._from_srgb(before + srgb_delta)
        return after - self._from_srgb(before)

    def _from_srgb(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        dtype = "float32" if self.model == "rgb" else "uint16"
        result = self._transform(values, _srgb_profile(), "rgb", self.profile, self.model, dtype)
        return result if self.model == "rgb" else result / np.float32(65535)

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


@lru_cache(maxsize=64)
def load_colour_space(profile: bytes | None, channels: int) -> ColourSpace | None:
    """Return the colour space that the ICC profile of a photo describes, if its samples must be converted.

    Args:
        profile: the profile, or None.
        channels: number of channels of the samples: 1 for grey, 3 for RGB, 4 for CMYK.

    Returns:
        The colour space; None if the samples are used without conversion, as viewers do: there is no profile, or it
        describes sRGB, another colour model than the photo has, or is one that littleCMS cannot use.

    Example:
        >>> import imagecodecs
        >>> load_colour_space(bytes(imagecodecs.cms_profile("srgb")), 3) is None  # sRGB needs no conversion
        True
    """
    model = _COLOUR_MODELS.get((profile[16:20], channels)) if profile else None
    if profile is None or model is None:
        return None
    found = ColourSpace(profile, model)
    steps = np.linspace(0, 65535, 9).round().astype(np.uint16)
    probe = np.stack(np.meshgrid(*[steps] * min(channels, 3), indexing="ij"), -1).reshape(1, -1, min(channels, 3))
    if channels == 4:
        return found if _is_usable(found, np.dstack([probe, probe[:, :, :1]])) else None
    if not _is_usable(found, probe):
        return None
    is_srgb = np.abs(found.to_srgb(probe) - probe / np.float32(65535)).max() <= _SRGB_TOLERANCE
    return None if is_srgb else found


def _is_usable(space: ColourSpace, probe: NDArray[np.uint16]) -> bool:
    try:
        delta = space.delta_to_samples(probe, np.zeros((*probe.shape[:2], 3), np.float32))
    except (RuntimeError, ValueError):  # imagecodecs' CmsError is a RuntimeError
        return False
    return bool(np.isfinite(delta).all())


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    return bytes(imagecodecs.cms_profile("srgb"))
