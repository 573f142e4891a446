"""ICC profiles for the colours that AVIF, HEIF and PNG files state by CICP numbers (ITU-T H.273)."""

import struct

from deepot.errors import UnsupportedImageError
from pipeline.imageio.metadata.profile_builder import D65, SRGB_PRIMARIES, build_rgb_profile

_PRIMARIES = {  # x and y of red, green and blue, and of white
    1: (SRGB_PRIMARIES, D65),
    2: (SRGB_PRIMARIES, D65),  # unspecified
    5: ((0.64, 0.33, 0.29, 0.6, 0.15, 0.06), D65),
    6: ((0.63, 0.34, 0.31, 0.595, 0.155, 0.07), D65),
    9: ((0.708, 0.292, 0.17, 0.797, 0.131, 0.046), D65),  # BT.2020
    11: ((0.68, 0.32, 0.265, 0.69, 0.15, 0.06), (0.314, 0.351)),
    12: ((0.68, 0.32, 0.265, 0.69, 0.15, 0.06), D65),  # Display P3
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_SRGB_LIKE_TRANSFERS = (1, 2, 6, 13, 14, 15)  # viewers decode those of video with the transfer function of sRGB too


def read_nclx_profile(data: bytes) -> bytes | None:
    """Return an ICC profile for the first CICP numbers in a file; None for sRGB and for a file without them.

    Raises:
        UnsupportedImageError: high dynamic range, or numbers without an equivalent profile.
    """
    offset = data.find(b"colrnclx")
    if offset < 0 or offset + 14 > len(data):
        return None
    return icc_from_cicp(*struct.unpack_from(">HH", data, offset + 8))


def icc_from_cicp(primaries: int, transfer: int) -> bytes | None:
    """Return an ICC profile for the CICP numbers of colour primaries and transfer characteristics; None for sRGB.

    Raises:
        UnsupportedImageError: high dynamic range, or numbers without an equivalent profile.
    """
    if transfer in (16, 18):
        raise UnsupportedImageError("unsupported_mode", "its colours have a high dynamic range (PQ or HLG)")
    if primaries not in _PRIMARIES or transfer not in (*_GAMMAS, *_SRGB_LIKE_TRANSFERS):
        raise UnsupportedImageError(
            "unsupported_mode", f"it has colour primaries {primaries} and transfer characteristics {transfer} of H.273"
        )
    if primaries in (1, 2) and transfer in _SRGB_LIKE_TRANSFERS:
        return None
    corners, white = _PRIMARIES[primaries]
    return build_rgb_profile(corners, white, _GAMMAS.get(transfer))
