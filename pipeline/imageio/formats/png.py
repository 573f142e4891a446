"""PNG: its chunks, kept as they are around new pixels."""

import struct
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np

from deepot.photo import Pixels
from pipeline.imageio.metadata import cicp as nclx
from pipeline.imageio.metadata import photoshop
from pipeline.imageio.metadata.gps import mentions_location
from pipeline.imageio.metadata.metadata import EXIF_HEADER, Metadata, MetadataBlock

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RENDERING_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"pHYs")
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"hIST", b"bKGD", b"sBIT", b"acTL", b"fcTL", b"fdAT")
_METADATA_CHUNKS = (b"iCCP", b"eXIf", b"caBX", b"dSIG")  # the last two are signed over the pixels as they were
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_GPS_FREE_CHUNKS = (b"tIME", b"sPLT", b"oFFs", b"pCAL", b"sCAL", b"sTER")  # too small or too plain for coordinates
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_RAW_PROFILE_PREFIX = b"Raw profile type "
_RAW_IPTC, _RAW_8BIM, _RAW_EXIF = (
    _RAW_PROFILE_PREFIX + b"iptc",
    _RAW_PROFILE_PREFIX + b"8bim",
    _RAW_PROFILE_PREFIX + b"exif",
)
_MAX_TEXT_BYTES = 16 * 2**20  # bytes that a compressed raw profile may become


def read_blocks(data: bytes) -> tuple[MetadataBlock, ...]:
    """The chunks that are neither pixels nor what `Metadata` has fields for: text, time, gamma and whatever else."""
    found = []
    for kind, content in iter_chunks(data):
        if kind in _PIXEL_CHUNKS + _METADATA_CHUNKS or (kind == b"iTXt" and content.startswith(_XMP_KEYWORD + b"\0")):
            continue
        if kind in _TEXT_CHUNKS and content.lower().startswith(_RAW_EXIF.lower() + b"\0"):
            continue  # the same as eXIf, in the way of old tools
        may_contain_gps = kind not in _RENDERING_CHUNKS + _GPS_FREE_CHUNKS and (
            kind not in _TEXT_CHUNKS or _may_contain_gps(kind, content)
        )
        found.append(MetadataBlock(kind, content, kind in _RENDERING_CHUNKS, may_contain_gps))
    return tuple(found)


def _may_contain_gps(kind: bytes, content: bytes) -> bool:
    """Whether a text may hold coordinates: it speaks of them, is a raw profile, or cannot be read."""
    keyword, text = _parse_text(kind, content)
    return text is None or keyword.startswith(_RAW_PROFILE_PREFIX) or mentions_location(text, keyword)


def _parse_text(kind: bytes, content: bytes) -> tuple[bytes, bytes | None]:
    """Keyword and text of a chunk of text; None for one that cannot be unpacked or is too long."""
    keyword, _, text = content.partition(b"\0")
    is_compressed, text = kind == b"zTXt", text[1:] if kind == b"zTXt" else text
    if kind == b"iTXt":
        is_compressed, text = (
            text[:1] != b"\0",
            b"\0".join(text[2:].split(b"\0")[2:]),
        )  # behind language and translation
    if not is_compressed:
        return keyword, text
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(text, _MAX_TEXT_BYTES)
    except zlib.error:
        return keyword, None
    return keyword, None if unpacker.unconsumed_tail else text


def read_xmp(data: bytes) -> bytes | None:
    """The XMP packet, wherever it stands."""
    texts = (
        _parse_text(kind, content)
        for kind, content in iter_chunks(data)
        if kind == b"iTXt" and content.startswith(_XMP_KEYWORD)
    )
    return next((text for keyword, text in texts if keyword == _XMP_KEYWORD and text), None)


def read_exif(data: bytes) -> bytes | None:
    """The EXIF block: that of its chunk, or of the raw profile where tools wrote it before there was one."""
    own = next((content for kind, content in iter_chunks(data) if kind == b"eXIf"), None)
    return (own or next(_iter_raw_profiles(data, _RAW_EXIF), b"")).removeprefix(EXIF_HEADER) or None


def read_cicp_profile(data: bytes) -> bytes | None:
    """The ICC profile that stands for the numbers of colour in a file; None for sRGB and where there are none.

    Raises:
        UnsupportedImageError: colours of high dynamic range, or ones that no profile here stands for.
    """
    numbers = next((content for kind, content in iter_chunks(data) if kind == b"cICP" and len(content) == 4), None)
    return nclx.icc_from_cicp(*numbers[:2]) if numbers else None


def read_iptc(data: bytes) -> bytes | None:
    """The IPTC records in a raw profile, as ImageMagick and ExifTool write them: bare, or in Photoshop resources."""
    found = next(_iter_raw_profiles(data, _RAW_IPTC, _RAW_8BIM), b"")
    return photoshop.read_iptc(found) if found.startswith(b"8BIM") else found or None


def _iter_raw_profiles(data: bytes, *names: bytes) -> Iterator[bytes]:
    """The contents of the raw profiles of these names that can be read."""
    wanted = [name.lower() for name in names]
    for kind, content in iter_chunks(data):
        if kind not in (b"tEXt", b"zTXt") or content.partition(b"\0")[0].lower() not in wanted:
            continue
        try:
            text = _parse_text(kind, content)[1] or b""
            yield bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))  # behind its name and length
        except ValueError:
            continue


def read_bit_depth(data: bytes) -> int:
    """Bits a sample."""
    return data[24]


def scale_transparent_grey(data: bytes, key: int) -> int:
    """The grey value that stands for transparency, as Pillow scales samples of 1, 2 and 4 bits."""
    bits = read_bit_depth(data)
    maximum = (1 << bits) - 1
    return (key & maximum) * (255 // maximum if bits < 8 else 1)


def decode16(data: bytes, profile: bytes | None) -> Pixels:
    """The samples of a PNG of 16 bits."""
    array = imagecodecs.png_decode(data)
    return Pixels.from_array(array, profile, alpha=array.ndim == 3 and array.shape[2] in (2, 4))


def encode16(pixels: Pixels) -> bytes:
    """A PNG of 16 bits without any metadata."""
    array = pixels.samples if pixels.alpha is None else np.dstack([pixels.samples, pixels.alpha])
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array)))


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """A PNG with what a photo carries put between its header and its pixels."""
    kinds = {block.kind for block in metadata.blocks}
    added = [(block.kind, block.data) for block in metadata.blocks]
    if metadata.icc:
        added.insert(0, (b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi and b"pHYs" not in kinds:
        added.append((b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in metadata.dpi), 1)))
    if metadata.exif:
        added.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        added.append((b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp))
    if metadata.iptc and not any(block.data.startswith(_RAW_IPTC) for block in metadata.blocks):
        profile = b"\niptc\n%8d\n%b\n" % (len(metadata.iptc), metadata.iptc.hex().encode())
        added.append((b"zTXt", _RAW_IPTC + b"\0\0" + zlib.compress(profile)))
    header = len(SIGNATURE) + 25
    middle = b"".join(_pack_chunk(kind, content) for kind, content in added)
    return data[:header] + middle + data[header:]


def iter_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of a PNG's chunks, as far as they are complete."""
    offset = len(SIGNATURE)
    while offset + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, offset)
        yield data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + size]
        offset += 12 + size


def _pack_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
