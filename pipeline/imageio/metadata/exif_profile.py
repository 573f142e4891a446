"""The colours that EXIF states by a name: Adobe RGB, for cameras that write no ICC profile."""

import struct

from pipeline.imageio.metadata.ifd import EXIF_IFD, INTEROP_IFD, Ifd
from pipeline.imageio.metadata.profile_builder import D65, build_rgb_profile

_ADOBE_RGB_PRIMARIES = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
_ADOBE_RGB_GAMMA = 563 / 256  # Adobe RGB (1998) Color Image Encoding, 4.3.1.2
_INTEROPERABILITY_INDEX, _COLOUR_SPACE = 1, 0xA001
_ADOBE_RGB_INDEX = b"R03"  # DCF option file, of DCF 2.0
_SRGB, _ADOBE_RGB = 1, 2  # values of ColorSpace; the second is not of the standard, but of some cameras


def profile_from_exif(tags: Ifd) -> bytes | None:
    """Return an ICC profile of the colour space that EXIF names; None for sRGB, and where it names none.

    That is Adobe RGB if the interoperability index is R03 and ColorSpace is not sRGB, or if ColorSpace is 2.

    Args:
        tags: the main directory of an EXIF block or of a page.
    """
    exif = tags.children.get(EXIF_IFD)
    if exif is None:
        return None
    index = exif.children[INTEROP_IFD].tags.get(_INTEROPERABILITY_INDEX) if INTEROP_IFD in exif.children else None
    colour_space = exif.tags.get(_COLOUR_SPACE)
    stated = None
    if colour_space is not None and colour_space.field_type == 3 and len(colour_space.data) >= 2:
        (stated,) = struct.unpack_from(exif.byte_order + "H", colour_space.data)
    is_option_file = index is not None and index.data.rstrip(b"\0 ").upper() == _ADOBE_RGB_INDEX and stated != _SRGB
    if not is_option_file and stated != _ADOBE_RGB:
        return None
    return build_rgb_profile(_ADOBE_RGB_PRIMARIES, D65, _ADOBE_RGB_GAMMA)
