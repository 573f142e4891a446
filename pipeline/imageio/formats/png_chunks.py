"""The chunks of a PNG: metadata read from them and written into them."""

import struct
import zlib
from collections.abc import Iterator

from pipeline.imageio.metadata import photoshop
from pipeline.imageio.metadata.cicp import icc_from_cicp
from pipeline.imageio.metadata.location import mentions_location
from pipeline.imageio.metadata.metadata import EXIF_HEADER, METRES_PER_INCH, Metadata, MetadataBlock

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""What a PNG begins with."""
_RENDERING_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"pHYs")
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"hIST", b"bKGD", b"sBIT", b"acTL", b"fcTL", b"fdAT")
_METADATA_CHUNKS = (b"iCCP", b"eXIf", b"caBX", b"dSIG")  # the last two are signatures of the original pixels
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_GPS_FREE_CHUNKS = (b"tIME", b"sPLT", b"oFFs", b"pCAL", b"sCAL", b"sTER")  # too small or too simple for coordinates
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_RAW_PROFILE_PREFIX = b"Raw profile type "
_RAW_IPTC = _RAW_PROFILE_PREFIX + b"iptc"
_RAW_8BIM = _RAW_PROFILE_PREFIX + b"8bim"
_RAW_EXIF = _RAW_PROFILE_PREFIX + b"exif"
_MAX_TEXT_BYTES = 16 * 2**20  # of a decompressed text


def read_blocks(data: bytes) -> tuple[MetadataBlock, ...]:
    """Return the chunks that are neither pixels nor fields of `Metadata`: text, time, gamma and all others."""
    found = []
    for kind, content in iter_chunks(data):
        if kind in _PIXEL_CHUNKS + _METADATA_CHUNKS or (kind == b"iTXt" and content.startswith(_XMP_KEYWORD + b"\0")):
            continue
        if kind in _TEXT_CHUNKS and content.lower().startswith(_RAW_EXIF.lower() + b"\0"):
            continue  # EXIF, as old tools wrote it
        may_contain_gps = kind not in _RENDERING_CHUNKS + _GPS_FREE_CHUNKS and (
            kind not in _TEXT_CHUNKS or _may_contain_gps(kind, content)
        )
        found.append(MetadataBlock(kind, content, kind in _RENDERING_CHUNKS, may_contain_gps))
    return tuple(found)


def _may_contain_gps(kind: bytes, content: bytes) -> bool:
    """Whether a text may contain coordinates: it mentions them, is a raw profile or XMP, or cannot be read."""
    keyword, text = _parse_text(kind, content)
    return text is None or keyword.startswith((_RAW_PROFILE_PREFIX, _XMP_KEYWORD)) or mentions_location(text, keyword)


def _parse_text(kind: bytes, content: bytes) -> tuple[bytes, bytes | None]:
    """Return the keyword and text of a text chunk; None as a text that cannot be decompressed or is too long."""
    keyword, _, text = content.partition(b"\0")
    is_compressed, text = kind == b"zTXt", text[1:] if kind == b"zTXt" else text
    if kind == b"iTXt":
        # the text follows the language and the translated keyword
        is_compressed, text = text[:1] != b"\0", b"\0".join(text[2:].split(b"\0")[2:])
    if not is_compressed:
        return keyword, text
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(text, _MAX_TEXT_BYTES)
    except zlib.error:
        return keyword, None
    return keyword, None if unpacker.unconsumed_tail else text


def read_xmp(data: bytes) -> bytes | None:
    """Return the XMP packet, wherever its chunk is."""
    texts = (
        _parse_text(kind, content)
        for kind, content in iter_chunks(data)
        if kind == b"iTXt" and content.startswith(_XMP_KEYWORD)
    )
    return next((text for keyword, text in texts if keyword == _XMP_KEYWORD and text), None)


def read_exif(data: bytes) -> bytes | None:
    """Return the EXIF block of its chunk, or of the raw profile that tools wrote before there was such a chunk."""
    own = next((content for kind, content in iter_chunks(data) if kind == b"eXIf"), None)
    return (own or next(_iter_raw_profiles(data, _RAW_EXIF), b"")).removeprefix(EXIF_HEADER) or None


def read_cicp_profile(data: bytes) -> bytes | None:
    """Return an ICC profile for the CICP numbers of a file; None for sRGB and for a file without them.

    Raises:
        UnsupportedImageError: high dynamic range, or numbers without an equivalent profile.
    """
    numbers = next((content for kind, content in iter_chunks(data) if kind == b"cICP" and len(content) == 4), None)
    return icc_from_cicp(*numbers[:2]) if numbers else None


def read_iptc(data: bytes) -> bytes | None:
    """Return the IPTC records of a raw profile, which ImageMagick and ExifTool write bare or in Photoshop resources."""
    found = next(_iter_raw_profiles(data, _RAW_IPTC, _RAW_8BIM), b"")
    return photoshop.read_iptc(found) if found.startswith(b"8BIM") else found or None


def _iter_raw_profiles(data: bytes, *names: bytes) -> Iterator[bytes]:
    """Yield the contents of the readable raw profiles with these names."""
    wanted = [name.lower() for name in names]
    for kind, content in iter_chunks(data):
        if kind not in (b"tEXt", b"zTXt") or content.partition(b"\0")[0].lower() not in wanted:
            continue
        try:
            text = _parse_text(kind, content)[1] or b""
            yield bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))  # after its name and length
        except ValueError:
            continue


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Return a PNG with metadata between its header and its pixels."""
    kinds = {block.kind for block in metadata.blocks}
    added = [(block.kind, block.data) for block in metadata.blocks]
    if metadata.icc:
        added.insert(0, (b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi and b"pHYs" not in kinds:
        added.append((b"pHYs", struct.pack(">IIB", *(round(value / METRES_PER_INCH) for value in metadata.dpi), 1)))
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
    """Yield the names and contents of the chunks, up to the first one that is incomplete."""
    offset = len(SIGNATURE)
    while offset + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, offset)
        yield data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + size]
        offset += 12 + size


def _pack_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
