"""The headers of BMP files: what of them Pillow does not read, and version 5, which holds alpha and a profile."""

import struct
from dataclasses import dataclass

import numpy as np

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels
from pipeline.imageio.metadata.metadata import METRES_PER_INCH
from pipeline.imageio.metadata.profile_builder import build_rgb_profile

_FILE_HEADER = 14
_INFO_SIZE, _V3_SIZE, _V4_SIZE, _V5_SIZE = 40, 56, 108, 124
_OS2_SIZE = 64  # its codes of compression from 3 on are others
_RGB, _BITFIELDS, _ALPHA_BITFIELDS = 0, 3, 6
_COMPRESSIONS = (_RGB, 1, 2, _BITFIELDS, _ALPHA_BITFIELDS)  # 1 and 2 are run lengths
_CALIBRATED, _SRGB, _LINKED, _EMBEDDED = 0, b"BGRs", b"KNIL", b"DEBM"  # colour spaces, the letters in file order
_COLOUR_MASKS = {  # that Pillow reads, by bits per pixel and the mask of alpha
    (16, 0): ((0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)),
    (24, 0): ((0xFF0000, 0xFF00, 0xFF),),
    (32, 0): ((0xFF0000, 0xFF00, 0xFF), (0xFF000000, 0xFF0000, 0xFF00), (0xFF000000, 0xFF00, 0xFF)),
    (32, 0xFF): ((0xFF000000, 0xFF0000, 0xFF00),),
    (32, 0xFF000000): ((0xFF, 0xFF00, 0xFF0000), (0xFF0000, 0xFF00, 0xFF)),
    (32, 0xFF0000): ((0xFF000000, 0xFF00, 0xFF),),
}
_ALPHA_MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
_PERCEPTUAL = 4  # LCS_GM_IMAGES
_MAX_NAME_SHOWN = 80


@dataclass(frozen=True)
class Header:
    """What a BMP file states about its samples and colours.

    Attributes:
        compression: the code of the compression.
        bits: bits per pixel.
        masks: of red, green, blue and alpha; empty if there are none.
        colour_space: the field of version 4 and 5, as bytes; empty for older headers.
        size: in bytes, which is another for each version.
    """

    compression: int
    bits: int
    masks: tuple[int, ...]
    colour_space: bytes
    size: int


def read_header(data: bytes) -> Header | None:
    """Return the header of a file; None if it has none that states compression and masks.

    Raises:
        struct.error: the file ends within it.
    """
    (size,) = struct.unpack_from("<I", data, _FILE_HEADER)
    if size < _INFO_SIZE:
        return None
    bits, compression = struct.unpack_from("<HI", data, _FILE_HEADER + 14)
    count = 4 if size >= _V3_SIZE or compression == _ALPHA_BITFIELDS else 3
    has_masks = compression in (_BITFIELDS, _ALPHA_BITFIELDS)
    masks = struct.unpack_from(f"<{count}I", data, _FILE_HEADER + _INFO_SIZE) if has_masks else ()
    colour_space = data[_FILE_HEADER + 56 : _FILE_HEADER + 60] if size in (_V4_SIZE, _V5_SIZE) else b""
    return Header(compression, bits, masks, colour_space, size)


def check_header(data: bytes) -> None:
    """Refuse what Pillow cannot read, or would read without its alpha channel, and colours that are not in the file.

    Raises:
        UnsupportedImageError: `unsupported_format` for a compression that is not supported, `unsupported_bit_depth` for
            more than 8 bits, `unsupported_mode` for masks that are not supported and a profile in another file.
        struct.error: the file ends within its header.
    """
    header = read_header(data)
    if header is None:
        return
    if header.compression not in _COMPRESSIONS or (header.size == _OS2_SIZE and header.compression >= _BITFIELDS):
        raise UnsupportedImageError(
            "unsupported_format", f"compression {header.compression} of BMP files is not supported; convert it to PNG"
        )
    if header.masks and max(mask.bit_count() for mask in header.masks) > 8:
        raise UnsupportedImageError(
            "unsupported_bit_depth", "its bit masks have more than 8 bits per sample; convert it to PNG or TIFF"
        )
    if header.masks and not _is_supported(header):
        shown = ", ".join(f"{mask:#x}" for mask in header.masks)
        raise UnsupportedImageError(
            "unsupported_mode",
            f"bit masks {shown} of {header.bits} bits per pixel are not supported; convert it to PNG",
        )
    if header.colour_space == _LINKED:
        raise UnsupportedImageError(
            "unsupported_mode",
            f"its colours are described by a profile in another file, '{_read_linked_name(data)}'; convert it to PNG "
            "with that profile",
        )


def _is_supported(header: Header) -> bool:
    """Whether Pillow reads the bit masks of a header, with alpha if there is any."""
    colours, alpha = header.masks[:3], sum(header.masks[3:])
    if header.compression == _ALPHA_BITFIELDS:
        return False
    return colours in _COLOUR_MASKS.get((header.bits, alpha), ())


def _read_linked_name(data: bytes) -> str:
    name = _read_profile_data(data).split(b"\0")[0]
    return name.decode("cp1252", errors="replace")[:_MAX_NAME_SHOWN]


def read_profile(data: bytes) -> bytes | None:
    """Return the ICC profile of a file: the one inside, or one made of its primaries and gamma; None for sRGB."""
    header = read_header(data)
    if header is None or not header.colour_space:
        return None
    if header.colour_space == _EMBEDDED and header.size == _V5_SIZE:
        return None if describe_damaged(data) else _read_profile_data(data) or None
    if int.from_bytes(header.colour_space, "little") != _CALIBRATED:
        return None
    return _build_calibrated_profile(data)


def describe_damaged(data: bytes) -> str | None:
    """Return that the profile inside a file is cut short; None if it is not, or there is none."""
    header = read_header(data)
    if header is None or header.colour_space != _EMBEDDED or header.size != _V5_SIZE:
        return None
    (size,) = struct.unpack_from("<I", data, _FILE_HEADER + 116)
    return "ICC profile (the file ends within it)" if len(_read_profile_data(data)) < size else None


def _read_profile_data(data: bytes) -> bytes:
    offset, size = struct.unpack_from("<2I", data, _FILE_HEADER + 112)
    return data[_FILE_HEADER + offset : _FILE_HEADER + offset + size]


def _build_calibrated_profile(data: bytes) -> bytes | None:
    """Return a profile for the endpoints and gamma of a calibrated colour space; None if they are not given.

    Raises:
        UnsupportedImageError: no profile has such colours, or each channel has another gamma.
    """
    fields = struct.unpack_from("<9i3I", data, _FILE_HEADER + 60)
    points = [[value / 2**30 for value in fields[start : start + 3]] for start in (0, 3, 6)]
    gammas = [value / 2**16 for value in fields[9:]]
    if min(map(sum, points)) <= 0 or min(gammas) <= 0:
        return None
    if max(gammas) - min(gammas) > 0.01:
        raise UnsupportedImageError("unsupported_mode", "its channels have different gammas; convert it to PNG")
    white = [sum(column) for column in zip(*points, strict=True)]
    primaries = tuple(value / sum(point) for point in points for value in point[:2])
    try:
        return build_rgb_profile(primaries, (white[0] / sum(white), white[1] / sum(white)), gammas[0])
    except ValueError as error:
        raise UnsupportedImageError("unsupported_mode", f"its endpoints and gamma: {error}") from error


def encode_v5(pixels: Pixels, profile: bytes | None, dpi: tuple[float, float] | None) -> bytes:
    """Return a BMP file of version 5: RGB of 8 bits with alpha or without, and with a profile or without.

    Raises:
        ValueError: it would be larger than 4 GB.
    """
    rows = pixels.samples[::-1, :, ::-1]  # from the last row up, blue first
    if pixels.alpha is not None:
        rows = np.dstack([rows, pixels.alpha[::-1]])
    row_bytes = rows.shape[1] * rows.shape[2]
    flat = np.zeros((rows.shape[0], -(-row_bytes // 4) * 4), np.uint8)  # rows of whole 32-bit words
    flat[:, :row_bytes] = rows.reshape(rows.shape[0], row_bytes)
    start = _FILE_HEADER + _V5_SIZE
    profile_data = profile or b""
    size = start + flat.size + len(profile_data)
    if size >= 2**32:
        raise ValueError(f"{size} bytes exceed the size of a BMP file")
    per_metre = [round(value / METRES_PER_INCH) for value in dpi or (0, 0)]
    has_alpha = pixels.alpha is not None
    head = b"BM" + struct.pack("<I4xI", size, start)
    head += struct.pack("<I2i2H", _V5_SIZE, pixels.width, pixels.height, 1, 8 * rows.shape[2])
    head += struct.pack("<2I2i2I", _BITFIELDS if has_alpha else _RGB, flat.size, *per_metre, 0, 0)
    head += struct.pack("<4I", *(_ALPHA_MASKS if has_alpha else (0, 0, 0, 0)))
    head += (_EMBEDDED if profile else _SRGB) + bytes(48)
    head += struct.pack("<4I", _PERCEPTUAL, _V5_SIZE + flat.size if profile else 0, len(profile_data), 0)
    return head + flat.tobytes() + profile_data
