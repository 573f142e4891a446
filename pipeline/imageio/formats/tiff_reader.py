"""Reading the photos of a TIFF with their tags, and how its other pages are written again."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels
from pipeline.imageio.formats.tiff_codecs import describe_unread_jpeg
from pipeline.imageio.formats.tiff_directories import PHOTOMETRIC, Directory, first_integer, read_directories
from pipeline.imageio.formats.tiff_kept import KeptPage, SegmentReader
from pipeline.imageio.formats.tiff_layout import PageLayout
from pipeline.imageio.formats.tiff_pages import PageKind, PageNode, classify_pages, iter_nodes
from pipeline.imageio.formats.tiff_raw import describe_raw
from pipeline.imageio.formats.tiff_reduced import ReducedPage, swaps_sides
from pipeline.imageio.formats.tiff_samples import (
    CHANNELS_BY_PHOTOMETRIC,
    COMPRESSIONS,
    has_alpha,
    needs_tifffile,
    open_with_pillow,
    read_bit_depth,
    read_with_pillow,
    read_with_tifffile,
)
from pipeline.imageio.metadata.exif_profile import profile_from_exif
from pipeline.imageio.metadata.ifd import Ifd, Tag
from pipeline.imageio.metadata.tiff_tags import CREDENTIALS_TAG, ICC_TAG, PIXEL_LAYOUT_TAGS, PageStyle

_ALPHA_SAMPLES = (1, 2)  # associated, unassociated
_RGB_PHOTOMETRICS = (2, 6)  # RGB, and YCbCr, which becomes RGB


@dataclass(frozen=True)
class Page:
    """A page of a file.

    Attributes:
        pixels: its samples in stored orientation.
        mode: Pillow's name for samples of this type.
        style: its tags and the options that write it the same way.
    """

    pixels: Pixels
    mode: str
    style: PageStyle


class TiffReader:
    """Reads a file: its directories once, then the pages that are photos, then how the others are written again."""

    def __init__(self, data: bytes, file: tifffile.TiffFile) -> None:
        """Read the directories.

        Args:
            data: the file.
            file: the same, opened by tifffile.

        Raises:
            UnsupportedImageError: it is a raw photo, or has no page that is a photo.
            ValueError: the directories form a cycle.
        """
        self._data, self._file = data, file
        directories = read_directories(data, file)
        if kind := describe_raw(data, directories):
            raise UnsupportedImageError(
                "unsupported_format",
                f"it is a raw photo ({kind}), whose pages are previews; develop it to TIFF or JPEG first",
            )
        self.nodes = classify_pages(directories)

    def read_sizes(self) -> list[tuple[int, int]]:
        """Return (width, height) of each photo, or of its tiles if they are larger, and of each reduced page."""
        return [
            _largest_decoded_size(self._open_page(node))
            if node.kind is PageKind.PHOTO
            else (node.directory.width, node.directory.height)
            for node in iter_nodes(self.nodes)
            if node.kind in (PageKind.PHOTO, PageKind.REDUCED)
        ]

    def read_photos(self) -> Iterator[Page]:
        """Decode the pages that are photos: by tifffile those that Pillow does not read, by Pillow the others.

        Raises:
            UnsupportedImageError: samples other than unsigned integers of up to 8 or of 16 bits, or other than grey,
                RGB or CMYK with or without one alpha channel.
            ValueError: an invalid page.
        """
        with ExitStack() as stack:
            image: Image.Image | None = None
            for node in self.nodes:
                if node.kind is not PageKind.PHOTO or node.number is None:
                    continue
                page, tags = self._open_page(node), _with_stated_profile(node.directory.tags)
                icc = tags.tags.get(ICC_TAG)
                profile = icc.data if icc else None
                bits = read_bit_depth(page)
                alpha = has_alpha(page)
                if name := describe_unread_jpeg(page):
                    raise UnsupportedImageError(
                        "unsupported_format",
                        f"its pixels are coded as {name}, which is not read inside TIFF; save it with LZW or deflate",
                    )
                if needs_tifffile(page, bits, alpha=alpha, is_big_endian_bigtiff=self._is_big_endian_bigtiff):
                    pixels, mode = read_with_tifffile(self._data, page, profile, alpha=alpha)
                else:
                    if image is None:
                        image = stack.enter_context(open_with_pillow(self._data, page))
                    pixels, mode = read_with_pillow(image, node.number, profile)
                style = PageStyle(tags.without_tags(PIXEL_LAYOUT_TAGS), _read_write_options(page, bits))
                yield Page(pixels, mode, style)

    def read_layout(self) -> tuple[PageLayout, ...]:
        """Return how all pages are written again: the photos' places, reduced pages, and those that stay as they are.

        Raises:
            UnsupportedImageError: a page that stays as it is, in a coding that cannot be copied.
            ValueError: such a page whose samples are not in the file.
        """
        photos = [node.directory for node in self.nodes if node.kind is PageKind.PHOTO]
        segments = SegmentReader(self._data)

        def lay_out(node: PageNode) -> PageLayout:
            content: int | ReducedPage | KeptPage
            if node.photo is None:
                content = segments.read(node.directory, node.kind)
            elif node.kind is PageKind.PHOTO:
                content = node.photo
            else:
                content = _read_reduced(self._open_page(node), node, photos[node.photo])
            return PageLayout(content, tuple(map(lay_out, node.subpages)))

        return tuple(map(lay_out, self.nodes))

    def read_credentials(self) -> bytes | None:
        """Return the C2PA manifest store in a tag of a page; None if there is none."""
        tags = (node.directory.tags.tags.get(CREDENTIALS_TAG) for node in self.nodes)
        return next((tag.data for tag in tags if tag), None)

    @property
    def _is_big_endian_bigtiff(self) -> bool:
        return bool(self._file.is_bigtiff and self._file.byteorder == ">")

    def _open_page(self, node: PageNode) -> Any:  # noqa: ANN401 — tifffile's types say Any
        """Return tifffile's page of a directory."""
        if node.number is not None:
            page = self._file.pages[node.number]
            return page if isinstance(page, tifffile.TiffPage) else page.aspage()
        self._file.filehandle.seek(node.directory.offset)
        return tifffile.TiffPage(self._file, 0)


def _with_stated_profile(tags: Ifd) -> Ifd:
    """Return the tags of a page with the profile that its EXIF stands for, if it has none of its own."""
    if ICC_TAG in tags.tags or first_integer(tags, PHOTOMETRIC) not in _RGB_PHOTOMETRICS:
        return tags
    profile = profile_from_exif(tags)
    return replace(tags, tags=tags.tags | {ICC_TAG: Tag(7, len(profile), profile)}) if profile else tags


def _read_reduced(page: Any, node: PageNode, photo: Directory) -> ReducedPage:  # noqa: ANN401
    """Return how a reduced page is made anew, from tifffile's page of it and the directory of its photo."""
    bits = 16 if max(np.atleast_1d(page.bitspersample)) > 8 else 8
    width, height = photo.width, photo.height
    if swaps_sides(node.reorientation):
        width, height = height, width
    return ReducedPage(
        photo=node.photo or 0,
        reorientation=node.reorientation,
        scale=(node.directory.width / width, node.directory.height / height),
        channels=CHANNELS_BY_PHOTOMETRIC.get(int(page.photometric), 3),
        bits=bits,
        alpha=any(int(kind) in _ALPHA_SAMPLES for kind in page.extrasamples),
        style=PageStyle(node.directory.tags.without_tags(PIXEL_LAYOUT_TAGS), _read_write_options(page, bits)),
    )


def _largest_decoded_size(page: Any) -> tuple[int, int]:  # noqa: ANN401 — tifffile's types say Any
    """Return (width, height) of a page, or of its tiles if they are larger; all planes of a volume count as height."""
    whole = (int(page.imagewidth), int(page.imagelength) * max(1, int(page.imagedepth)))
    tile = (int(page.tilewidth), int(page.tilelength) * max(1, int(page.tiledepth))) if page.is_tiled else (0, 0)
    return max(whole, tile, key=lambda size: size[0] * size[1])


def _read_write_options(page: Any, bits: int) -> dict[str, Any]:  # noqa: ANN401
    """Return tifffile's options for the compression, predictor and tiles of a page; a lossy codec becomes deflate."""
    kind = int(page.compression)
    options: dict[str, Any] = {} if kind == 1 else {"compression": COMPRESSIONS.get(kind, "zlib")}
    if kind in (5, 8, 32946) and int(page.predictor) == 2 and bits in (8, 16):
        options["predictor"] = True
    if page.is_tiled and not (page.tilelength % 16 or page.tilewidth % 16):
        sides = ((page.tilelength, page.imagelength), (page.tilewidth, page.imagewidth))
        options["tile"] = tuple(min(tile, -(-side // 16) * 16) for tile, side in sides)
    elif not page.is_tiled and 0 < page.rowsperstrip < page.imagelength:
        options["rowsperstrip"] = page.rowsperstrip
    return options
