"""Colour: samples with an ICC profile to sRGB, and differences of sRGB back to samples, by littleCMS."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

Space = Literal["gray", "rgb", "cmyk"]
_SPACES: dict[tuple[bytes, int], Space] = {(b"GRAY", 1): "gray", (b"RGB ", 3): "rgb", (b"CMYK", 4): "cmyk"}
_EXACT = 0x0100  # cmsFLAGS_NOOPTIMIZE: littleCMS's 16-bit shortcuts are wrong by up to 0.1 in the shadows
_RELATIVE = 1  # relative colorimetric: white stays white
_SRGB_LIKE = 1.5 / 255


@dataclass(frozen=True)
class ColourSpace:
    """The colour space of a photo whose samples are not sRGB.

    Attributes:
        profile: an ICC profile.
        space: what its samples are.
    """

    profile: bytes = field(repr=False)
    space: Space

    def to_srgb(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        """Samples (H, W, C), uint8 or uint16 → sRGB (H, W, 3); colours outside its gamut lie outside [0, 1]."""
        values = samples.astype(np.uint16) * 257 if samples.dtype == np.uint8 else samples
        if self.space == "rgb":  # float in, so that nothing is clipped
            values = values.astype(np.float32) / 65535
        return self._transform(values, self.profile, self.space, _srgb(), "rgb", "float32")

    def change(self, samples: NDArray[Any], difference: NDArray[np.float32]) -> NDArray[np.float32]:
        """A difference of sRGB values as one of sample values.

        Both ends of it go through the profile, so that a difference of 0 changes nothing, coarse as its tables may be.

        Args:
            samples: (H, W, C), uint8 or uint16.
            difference: (H, W, 3), in units of [0, 1].

        Returns:
            (H, W, C) in units of [0, 1].
        """
        before = self.to_srgb(samples)
        after = self._from_srgb(before + difference)
        return after - self._from_srgb(before)

    def _from_srgb(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        kind = "float32" if self.space == "rgb" else "uint16"
        result = self._transform(values, _srgb(), "rgb", self.profile, self.space, kind)
        return result if self.space == "rgb" else result / np.float32(65535)

    @staticmethod
    def _transform(
        values: NDArray[Any], profile: bytes, space: Space, target: bytes, target_space: Space, kind: str
    ) -> NDArray[np.float32]:
        result: NDArray[Any] = imagecodecs.cms_transform(
            np.ascontiguousarray(values[:, :, 0] if space == "gray" else values),
            profile,
            target,
            colorspace=space,
            outcolorspace=target_space,
            outdtype=kind,
            intent=_RELATIVE,
            flags=_EXACT,
        )
        return result.reshape(*values.shape[:2], -1).astype(np.float32, copy=False)


@lru_cache(maxsize=64)
def colour_space(profile: bytes | None, channels: int) -> ColourSpace | None:
    """The colour space that a photo's profile describes.

    Args:
        profile: an ICC profile.
        channels: of the samples: 1 for grey, 3 for RGB, 4 for CMYK.

    Returns:
        None where the samples can be taken as they are: no profile, one of sRGB under any name, one for another kind of
        samples, or one that littleCMS cannot use. Viewers do the same.
    """
    space = _SPACES.get((profile[16:20], channels)) if profile else None
    if profile is None or space is None:
        return None
    found = ColourSpace(profile, space)
    steps = np.linspace(0, 65535, 9).round().astype(np.uint16)
    probe = np.stack(np.meshgrid(*[steps] * min(channels, 3), indexing="ij"), -1).reshape(1, -1, min(channels, 3))
    if channels == 4:
        return found if _works(found, np.dstack([probe, probe[:, :, :1]])) else None
    if not _works(found, probe):
        return None
    same = np.abs(found.to_srgb(probe) - probe / np.float32(65535)).max() <= _SRGB_LIKE
    return None if same else found


def _works(space: ColourSpace, probe: NDArray[np.uint16]) -> bool:
    try:
        moved = space.change(probe, np.zeros((*probe.shape[:2], 3), np.float32))
    except (RuntimeError, ValueError):  # imagecodecs' CmsError is a RuntimeError
        return False
    return bool(np.isfinite(moved).all())


@lru_cache(maxsize=1)
def _srgb() -> bytes:
    return bytes(imagecodecs.cms_profile("srgb"))
