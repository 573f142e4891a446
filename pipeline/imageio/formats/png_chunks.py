"""The chunks of a PNG: metadata read from them and written into them."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.imageio.metadata import photoshop
from pipeline.imageio.metadata.cicp import icc_from_cicp
from pipeline.imageio.metadata.location import mentions_location
from pipeline.imageio.metadata.metadata import EXIF_HEADER, METRES_PER_INCH, Metadata, MetadataBlock
from pipeline.imageio.metadata.profile_builder import D65, SRGB_PRIMARIES, build_grey_profile, build_rgb_profile

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""What a PNG begins with."""
_CODED_CHUNKS = (b"IDAT",)  # nearly the entire file, which nobody reads here
_DECODER_CHUNKS = (b"tRNS", b"pHYs", b"acTL", b"fcTL", b"fdAT")
_RENDERING_CHUNKS = (b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"pHYs")
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"hIST", b"bKGD", b"sBIT", b"acTL", b"fcTL", b"fdAT")
_METADATA_CHUNKS = (b"eXIf", b"caBX", b"dSIG")  # the last two are signatures of the original pixels
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_GPS_FREE_CHUNKS = (b"tIME", b"sPLT", b"oFFs", b"pCAL", b"sCAL", b"sTER")  # too small or too simple for coordinates
_COLOUR_TYPE_OFFSET, _GREY_TYPES = 25, (0, 4)  # in the first chunk
_FIXED_POINT = 100_000  # of the numbers in gAMA and cHRM
_SRGB_GAMMA, _GAMMA_TOLERANCE, _CHROMATICITY_TOLERANCE = 2.2, 0.05, 0.005
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_RAW_PROFILE_PREFIX = b"Raw profile type "
_RAW_IPTC = _RAW_PROFILE_PREFIX + b"iptc"
_RAW_8BIM = _RAW_PROFILE_PREFIX + b"8bim"
_RAW_EXIF = _RAW_PROFILE_PREFIX + b"exif"
_MAX_TEXT_BYTES = 16 * 2**20  # of a decompressed text or profile


class _Chunk(NamedTuple):
    """A chunk: where it is in the file, and whether it is ancillary and has a wrong checksum."""

    kind: bytes
    content: bytes
    start: int
    end: int
    is_damaged: bool


def read_blocks(data: bytes) -> tuple[MetadataBlock, ...]:
    """Return the chunks that are neither pixels nor fields of `Metadata`: text, time, gamma and all others.

    The chunk of the profile is one of them, because the name that it gives the profile is no field.
    """
    found: list[MetadataBlock] = []
    for kind, content in iter_chunks(data):
        if kind in _PIXEL_CHUNKS + _METADATA_CHUNKS or _is_xmp(kind, content):
            continue
        if kind in _TEXT_CHUNKS and content.lower().startswith(_RAW_EXIF.lower() + b"\0"):
            continue  # EXIF, as old tools wrote it
        if kind == b"iCCP" and any(block.kind == kind for block in found):
            continue  # only the first one is used
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
    return keyword, _inflate(text) if is_compressed else text


def _inflate(packed: bytes) -> bytes | None:
    """Return what a zlib stream holds; None if it is damaged or longer than is read."""
    try:
        unpacker = zlib.decompressobj()
        found = unpacker.decompress(packed, _MAX_TEXT_BYTES)
    except zlib.error:
        return None
    return None if unpacker.unconsumed_tail else found


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
    blocks = [block for block in metadata.blocks if block.kind != b"iCCP" or _holds_profile(block, metadata.icc)]
    kinds = {block.kind for block in blocks}
    added = [(block.kind, block.data) for block in blocks]
    if metadata.icc and b"iCCP" not in kinds:
        added.insert(0, (b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi and b"pHYs" not in kinds:
        added.append((b"pHYs", struct.pack(">IIB", *(round(value / METRES_PER_INCH) for value in metadata.dpi), 1)))
    if metadata.exif:
        added.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        added.append((b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp))
    if metadata.iptc and not any(block.data.startswith(_RAW_IPTC) for block in blocks):
        profile = b"\niptc\n%8d\n%b\n" % (len(metadata.iptc), metadata.iptc.hex().encode())
        added.append((b"zTXt", _RAW_IPTC + b"\0\0" + zlib.compress(profile)))
    header = len(SIGNATURE) + 25
    middle = b"".join(_pack_chunk(kind, content) for kind, content in added)
    return data[:header] + middle + data[header:]


def iter_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of the chunks, up to the end mark or the first one that is incomplete.

    What follows the end mark is not part of the PNG, whatever it is. Ancillary chunks with a wrong checksum are left
    out, and so is the content of the chunks that hold the coded pixels.
    """
    return ((chunk.kind, chunk.content) for chunk in _iter_all_chunks(data) if not chunk.is_damaged)


def without_metadata(data: bytes) -> bytes:
    """Return a PNG with the chunks that decide its pixels, and its resolution, alone.

    Decoders refuse a file over metadata that are large, damaged or of an unknown kind.
    """
    kept = (
        data[chunk.start : chunk.end]  # with its own checksum, which the decoder verifies
        for chunk in _iter_all_chunks(data)
        if _is_critical(chunk.kind) or (chunk.kind in _DECODER_CHUNKS and not chunk.is_damaged)
    )
    return SIGNATURE + b"".join(kept)


def read_profile(data: bytes) -> bytes | None:
    """Return the ICC profile; None if there is none, or if it cannot be read."""
    content = next((content for kind, content in iter_chunks(data) if kind == b"iCCP"), b"")
    return _unpack_profile(content)


def read_stated_profile(data: bytes) -> bytes | None:
    """Return an ICC profile for colours that a file states by numbers; None for sRGB and for a file without numbers.

    CICP numbers and the chunk sRGB override gamma and chromaticities (PNG specification, 4.3), of which those are
    ignored that no monitor could have.

    Raises:
        UnsupportedImageError: high dynamic range, or CICP numbers without an equivalent profile.
    """
    chunks = dict(iter_chunks(data))
    if len(numbers := chunks.get(b"cICP", b"")) == 4:
        return icc_from_cicp(*numbers[:2])
    if b"sRGB" in chunks:
        return None
    gamma, colours = _read_gamma(chunks.get(b"gAMA", b"")), _read_chromaticities(chunks.get(b"cHRM", b""))
    if data[_COLOUR_TYPE_OFFSET] in _GREY_TYPES:
        return None if gamma is None else build_grey_profile(gamma)
    if colours is None:
        return None if gamma is None else build_rgb_profile(SRGB_PRIMARIES, D65, gamma)
    try:
        return build_rgb_profile(colours[2:], (colours[0], colours[1]), gamma)
    except ValueError:
        return None


def _read_gamma(content: bytes) -> float | None:
    """Return the exponent that decodes samples; None for the one that stands for sRGB, or for none that is possible."""
    if len(content) != 4 or not (value := int.from_bytes(content)):
        return None
    gamma = _FIXED_POINT / value
    return None if abs(gamma - _SRGB_GAMMA) < _GAMMA_TOLERANCE or not 0.1 <= gamma <= 10 else round(gamma, 3)


def _read_chromaticities(content: bytes) -> tuple[float, ...] | None:
    """Return x and y of white, red, green and blue; None for those of sRGB, or for none that are possible."""
    if len(content) != 32:
        return None
    found = tuple(value / _FIXED_POINT for value in struct.unpack(">8I", content))
    pairs = list(zip(found[::2], found[1::2], strict=True))
    if any(not (0 <= x <= 1 and 0 < y <= 1) for x, y in pairs):
        return None
    expected = (*D65, *SRGB_PRIMARIES)
    if all(abs(one - other) < _CHROMATICITY_TOLERANCE for one, other in zip(found, expected, strict=True)):
        return None
    return found


def describe_damaged(data: bytes) -> str | None:
    """Return which metadata cannot be read, with the reason, for the manifest; None if all can."""
    found = []
    for chunk in _iter_all_chunks(data):
        kind, content = chunk.kind, chunk.content
        if chunk.is_damaged:
            found.append(f"{_name(kind)} (wrong checksum)")
        elif kind == b"iCCP" and _unpack_profile(content) is None:
            found.append("iCCP (unknown or damaged compression, or too large)")
        elif _is_xmp(kind, content) and _parse_text(kind, content)[1] is None:
            found.append("XMP (damaged compression, or too large)")
    return ", ".join(dict.fromkeys(found)) or None


def _unpack_profile(content: bytes) -> bytes | None:
    _, _, packed = content.partition(b"\0")
    return _inflate(packed[1:]) if packed[:1] == b"\0" else None


def _holds_profile(block: MetadataBlock, icc: bytes | None) -> bool:
    return icc is not None and _unpack_profile(block.data) == icc


def _is_xmp(kind: bytes, content: bytes) -> bool:
    return kind == b"iTXt" and content.startswith(_XMP_KEYWORD + b"\0")


def _is_critical(kind: bytes) -> bool:
    """Whether a decoder must understand a chunk: its name begins with a capital (PNG specification, 5.4)."""
    return not kind[0] & 0x20


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")


def _iter_all_chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield the chunks up to the end mark or the first one that is incomplete; coded pixels without their content."""
    start = len(SIGNATURE)
    while start + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        end = start + 12 + size
        if end > len(data):
            return
        content = b"" if kind in _CODED_CHUNKS else data[start + 8 : end - 4]
        is_damaged = not _is_critical(kind) and zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(
            data[end - 4 : end]
        )
        yield _Chunk(kind, content, start, end, is_damaged)
        if kind == b"IEND":
            return
        start = end


def _pack_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
