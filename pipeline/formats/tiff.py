"""TIFF: pages with their tags, read and written so that both come through."""

import io
import logging
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from deepot.errors import UnsupportedImageError
from deepot.pixels import Pixels
from pipeline.formats.ifd import EXIF, GPS, Ifd, Tag, orientation_of, read_block, read_ifd
from pipeline.formats.metadata import Metadata, Policy, xmp_without_gps
from pipeline.formats.photoshop import resources_without_gps

_RESOLUTION = (282, 283, 296)
_ICC, _XMP, _IPTC, _PHOTOSHOP, _ORIENTATION = 34675, 700, 33723, 34377, 0x0112
_SHOWN = (_ICC, _ORIENTATION, *_RESOLUTION, 254, 286, 287, 297, 301)  # what a viewer needs
_OF_PIXELS = frozenset(
    (
        *(*range(255, 267), 273, *range(275, 282), 284, *range(288, 296), 317, *range(320, 327), 330, *range(332, 337)),
        *(*range(338, 342), 347, *range(512, 522), *range(529, 533), *range(32995, 32999)),
    )
)
_COMPRESSIONS = {5: "lzw", 8: "zlib", 32946: "zlib", 32773: "packbits", 50000: "zstd", 34925: "lzma"}
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it warns of odd tags; what matters comes as an exception

_TURNED_BY_PILLOW = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""Pillow shows TIFFs, and only them, as their orientation says: by orientation, what undoes it."""
_MOST_BYTES = 4 * 10**9  # a classic TIFF counts its bytes in 32 bits


@dataclass(frozen=True)
class Style:
    """How a page is written.

    Attributes:
        tags: those that are not about how the pixels are stored.
        options: of tifffile: compression, predictor, tiles.
    """

    tags: Ifd
    options: dict[str, Any] = field(default_factory=dict)

    def under(self, policy: Policy) -> "Style":
        """The style with the tags that a policy keeps."""
        if policy is Policy.STRIP:
            tags = Ifd(self.tags.order, {code: tag for code, tag in self.tags.tags.items() if code in _SHOWN})
            return Style(tags, self.options)
        if policy is Policy.STRIP_GPS:
            tags = self.tags.without((GPS,))
            for code, cleaned in ((_XMP, xmp_without_gps), (_PHOTOSHOP, resources_without_gps)):
                if tag := tags.tags.pop(code, None):
                    data = cleaned(tag.data)
                    tags.tags |= {} if data is None else {code: Tag(tag.kind, len(data), data)}
            return Style(tags, self.options)
        return self


@dataclass(frozen=True)
class Page:
    """A page of a file: its samples and how it was written."""

    pixels: Pixels
    style: Style
    bits: int


def page_sizes(data: bytes) -> list[tuple[int, int]]:
    """Width and height of every page, without decoding one."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return [(page.imagewidth, page.imagelength) for page in _pages(file)]


def read_pages(data: bytes, image: Image.Image) -> Iterator[Page]:
    """Decode the pages of a file; those of 16 bits by tifffile, others by Pillow.

    Args:
        data: the file.
        image: the file, opened by Pillow.

    Raises:
        UnsupportedImageError: samples that are no whole numbers of at most 8 or just 16 bits, or mean something else
            than grey, RGB or CMYK.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for number, page in enumerate(_pages(file)):
            tags = read_ifd(data, page.offset, file.byteorder, big=file.is_bigtiff)
            icc = tags.tags.get(_ICC)
            profile = icc.data if icc else None
            bits = _depth(page)
            if bits == 16:
                pixels = _deep(page, profile)
            else:
                image.seek(number)
                turned = _TURNED_BY_PILLOW.get(image.getexif().get(_ORIENTATION, 1))  # it asks XMP, too
                pixels = Pixels.from_image(image if turned is None else _loaded(image).transpose(turned))
            yield Page(pixels, Style(tags.without(_OF_PIXELS), _options(page, bits)), pixels.bit_depth)


def check(data: bytes) -> None:
    """See whether the samples of all pages are of a kind that is taken.

    Raises:
        UnsupportedImageError: they are not.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for page in _pages(file):
            _depth(page)


def write_pages(pages: Sequence[tuple[Pixels, Style]]) -> bytes:
    """A classic TIFF of these pages, in the byte order of the first one's tags.

    Raises:
        ValueError: it would be larger than a TIFF can be.
    """
    if sum(pixels.samples.nbytes for pixels, _ in pages) > _MOST_BYTES:
        raise ValueError("more than 4 GB of samples; a TIFF cannot hold that")
    order = pages[0][1].tags.order
    sink = io.BytesIO()
    with tifffile.TiffWriter(sink, byteorder=order, bigtiff=False) as writer:
        for pixels, style in pages:
            channels = pixels.samples.shape[2]
            array = pixels.samples if pixels.alpha is None else np.dstack([pixels.samples, pixels.alpha])
            writer.write(
                array[:, :, 0] if array.shape[2] == 1 else array,
                photometric={1: "minisblack", 3: "rgb", 4: "separated"}[channels],
                planarconfig=None if array.shape[2] == 1 else "contig",
                extrasamples=None if pixels.alpha is None else ["unassalpha"],
                metadata=None,
                software=False,
                contiguous=False,
                **style.options,
            )
    return _tagged(sink.getvalue(), [style.tags for _, style in pages])


def metadata_of(page: Page) -> Metadata:
    """What a page carries, for another format."""
    tags = page.style.tags
    found = {code: tag.data for code, tag in tags.tags.items()}
    exif = tags.without((_ICC, _XMP, _IPTC, _PHOTOSHOP))
    if _ORIENTATION in exif.tags:  # may be of another kind, which TIFF readers take and others do not
        exif.tags[_ORIENTATION] = Tag(3, 1, struct.pack(tags.order + "H", orientation_of(exif.block())))
    iptc = found.get(_IPTC)
    return Metadata(
        found.get(_ICC), exif.block() if exif.tags or exif.children else None, found.get(_XMP), iptc, _dpi(tags)
    )


def style_of(metadata: Metadata, options: dict[str, Any]) -> Style:
    """The style of a page with what a photo of another format carried."""
    found = read_block(metadata.exif) if metadata.exif else None
    tags = Ifd("<") if found is None else found.without(_OF_PIXELS)
    for code, kind, data in ((_ICC, 7, metadata.icc), (_XMP, 1, metadata.xmp), (_IPTC, 7, metadata.iptc)):
        if data:
            tags.tags[code] = Tag(kind, len(data), data)
    if metadata.dpi:
        for code, value in zip(_RESOLUTION[:2], metadata.dpi, strict=True):
            tags.tags[code] = Tag(5, 1, struct.pack(tags.order + "II", round(value * 1000), 1000))
        tags.tags[_RESOLUTION[2]] = Tag(3, 1, struct.pack(tags.order + "H", 2))
    return Style(tags, options)


def _pages(file: tifffile.TiffFile) -> Iterator[Any]:
    """The pages of a file, one directory after the other.

    Raises:
        ValueError: its directories go in a circle.
    """
    seen: set[int] = set()
    for page in file.pages:
        if page.offset in seen:
            raise ValueError(f"its page {len(seen)} is followed by one that was before it")
        seen.add(page.offset)
        yield page if isinstance(page, tifffile.TiffPage) else page.aspage()


def _depth(page: Any) -> int:  # noqa: ANN401 — tifffile's types say Any
    """Bits a sample."""
    bits = int(page.bitspersample)
    if page.sampleformat not in (1, 4):
        raise UnsupportedImageError("unsupported_mode", "its samples are no whole numbers from 0 on")
    if bits > 8 and bits != 16:
        raise UnsupportedImageError(
            "unsupported_bit_depth", f"{bits} bits a sample; TIFFs of up to 8 and of 16 bits are taken"
        )
    return bits


def _loaded(image: Image.Image) -> Image.Image:
    image.load()
    return image


def _deep(page: Any, profile: bytes | None) -> Pixels:  # noqa: ANN401 — tifffile's types say Any
    """The samples of a page of 16 bits: (H, W, C)."""
    array = page.asarray()
    if page.samplesperpixel > 1 and page.planarconfig == 2:
        array = np.moveaxis(array, 0, -1)
    array = np.ascontiguousarray(array if array.ndim == 3 else array[:, :, None])
    colours = {0: 1, 1: 1, 2: 3, 5: 4}.get(int(page.photometric))
    more = [int(kind) for kind in page.extrasamples]
    if (
        colours is None
        or array.dtype != np.uint16
        or array.shape[2] != colours + len(more)
        or more not in ([], [1], [2])
    ):
        raise UnsupportedImageError(
            "unsupported_mode", f"16-bit samples of {array.shape[2]} channels as photometric {int(page.photometric)}"
        )
    if more == [1]:
        raise UnsupportedImageError("unsupported_mode", "16-bit colours multiplied by alpha; convert it to plain alpha")
    if int(page.photometric) == 0:
        array = 65535 - array
    return Pixels.from_array(array, profile, alpha=bool(more))


def _options(page: Any, bits: int) -> dict[str, Any]:  # noqa: ANN401
    """Options of tifffile for the compression, predictor and tiles of a page; lossy compression becomes deflate."""
    kind = int(page.compression)
    options: dict[str, Any] = {} if kind == 1 else {"compression": _COMPRESSIONS.get(kind, "zlib")}
    if kind in (5, 8, 32946) and int(page.predictor) == 2 and bits in (8, 16):
        options["predictor"] = True
    if page.is_tiled and not (page.tilelength % 16 or page.tilewidth % 16):
        options["tile"] = (page.tilelength, page.tilewidth)
    elif not page.is_tiled and 0 < page.rowsperstrip < page.imagelength:
        options["rowsperstrip"] = page.rowsperstrip
    return options


def _dpi(tags: Ifd) -> tuple[float, float] | None:
    """Resolution in dots an inch."""
    try:
        across, down = (struct.unpack(tags.order + "II", tags.tags[code].data[:8]) for code in _RESOLUTION[:2])
        unit = tags.tags.get(_RESOLUTION[2])
        scale = {2: 1.0, 3: 2.54}[struct.unpack(tags.order + "H", unit.data[:2])[0] if unit else 2]
        return across[0] / across[1] * scale, down[0] / down[1] * scale
    except (KeyError, struct.error, ZeroDivisionError):
        return None


def _tagged(data: bytes, pages: Sequence[Ifd]) -> bytes:
    """A finished file with more tags: its directories are written anew behind it, those of the pixels as they are."""
    order = pages[0].order
    result, link, old = bytearray(data), 4, 4
    for tags in pages:
        (offset,) = struct.unpack_from(order + "I", data, old)
        own = read_ifd(data, offset, order)
        old = offset + 2 + 12 * len(own.tags)
        kept = {code: tag for code, tag in tags.tags.items() if code not in _OF_PIXELS}
        plain = {code: tag for code, tag in own.tags.items() if code not in _RESOLUTION}
        merged = Ifd(order, plain | kept, {code: tags.children[code] for code in (EXIF, GPS) if code in tags.children})
        result += b"\0" * (len(result) % 2)
        struct.pack_into(order + "I", result, link, len(result))
        link = len(result) + 2 + 12 * (len(merged.tags) + len(merged.children))
        result += merged.dump(len(result))
    return bytes(result)
