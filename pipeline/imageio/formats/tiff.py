"""TIFF of one or several pages."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import tifffile

from deepot.photo import Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats.tiff_kept import KeptPage
from pipeline.imageio.formats.tiff_layout import PageLayout, iter_layout
from pipeline.imageio.formats.tiff_pages import describe_other_pages
from pipeline.imageio.formats.tiff_reader import TiffReader
from pipeline.imageio.formats.tiff_reduced import ReducedPage
from pipeline.imageio.formats.tiff_writer import PageToWrite, write_pages
from pipeline.imageio.header_checks import check_pixel_count, make_properties
from pipeline.imageio.image_format import Capabilities, DecodedImage, EncodedPhoto, OutputFormat
from pipeline.imageio.metadata.mark_text import Mark
from pipeline.imageio.metadata.marking import add_mark_to_pages
from pipeline.imageio.metadata.metadata import MetadataPolicy
from pipeline.imageio.metadata.tiff_tags import (
    PageStyle,
    metadata_from_tags,
    page_style_from_metadata,
)
from pipeline.imageio.result_check import check_result

_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"II\0*", b"MM*\0")
_COMPRESSIONS = ("none", "lzw", "deflate", "packbits")


class TiffFormat:
    """TIFF, read by Pillow and tifffile, written by tifffile with the tags of every page."""

    name = "TIFF"
    spec_name = "tiff"
    extensions = (".tif", ".tiff")
    writable = True
    plugin = None
    capabilities = Capabilities(max_bits=16, multi_page=True, cmyk=True, max_sample_bytes=4 * 10**9)

    def is_available(self) -> bool:
        """Whether files can be read and written here: yes."""
        return True

    def matches(self, data: bytes) -> bool:
        """Whether the bytes begin with a signature of TIFF or BigTIFF."""
        return data.startswith(_SIGNATURES)

    def make_options(self, compression: str = "lzw", tile: float = 0) -> dict[str, Any]:
        """Return tifffile's options for a compression and the side of tiles in pixels, 0 for strips."""
        if compression not in _COMPRESSIONS:
            raise ValueError(f"compression is {compression}; there are {', '.join(_COMPRESSIONS)}")
        if tile % 16 or tile < 0:
            raise ValueError(f"tile is {tile:g}, it must be a multiple of 16")
        options: dict[str, Any] = {}
        if compression != "none":
            options["compression"] = compression.replace("deflate", "zlib")
        if compression in ("lzw", "deflate"):
            options["predictor"] = True
        return options | ({"tile": (int(tile), int(tile))} if tile else {})

    def read(self, data: bytes, max_pixels: int) -> DecodedImage:
        """Decode the pages that are photos, and note how the others are written again: see `ImageFormat.read`."""
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            reader = TiffReader(data, file)
            check_pixel_count(reader.read_sizes(), max_pixels)
            photos = list(reader.read_photos())
            if not photos:
                raise ValueError("it starts like TIFF but has no pages")
            layout, credentials = reader.read_layout(), reader.read_credentials()
        pages = [photo.pixels for photo in photos]
        page_styles = tuple(photo.style for photo in photos)
        metadata = metadata_from_tags(page_styles[0].tags)
        properties = make_properties(self.name, photos[0].mode, metadata, pages, pages[0].bit_depth)
        properties["damaged_metadata"] = None
        properties["other_pages"] = describe_other_pages(reader.nodes)
        properties["has_exif"] = bool(page_styles[0].tags.children)  # every TIFF has tags that could make an EXIF block
        return DecodedImage(pages, properties, metadata, OutputFormat(self), page_styles, layout, credentials)

    def write(
        self,
        photo: DecodedImage,
        pages: Sequence[Pixels],
        options: Mapping[str, Any],
        policy: MetadataPolicy,
        mark: Mark | None,
    ) -> EncodedPhoto:
        """Encode pages with the tags of the photo's pages: see `ImageFormat.write`.

        Pages that are written as they were read keep their compression and tiles, each its own. Reduced pages are made
        from the result; pages that are no photos are copied.
        """
        if photo.page_styles:
            styles = [style.apply_policy(policy) for style in photo.page_styles]
        else:
            metadata = photo.metadata.apply_policy(policy, photo.properties["orientation"]).for_other_format()
            styles = [page_style_from_metadata(metadata, dict(options))]
        if photo.is_resized_to(pages):
            styles = [style.with_size(page.width, page.height) for style, page in zip(styles, pages, strict=True)]
        styles, marks = add_mark_to_pages(styles, mark, policy)
        own_options = photo.matching_format is not None and options is photo.matching_format.options
        photos = list(zip(pages, styles, strict=True))

        def with_options(style: PageStyle) -> PageStyle:
            return style if own_options else PageStyle(style.tags, dict(options))

        def lay_out(page: PageLayout) -> PageToWrite:
            content: tuple[Pixels, PageStyle] | KeptPage
            if isinstance(page.content, KeptPage):
                content = page.content.apply_policy(policy)
            elif isinstance(page.content, ReducedPage):
                reduced = replace(page.content, style=page.content.style.apply_policy(policy))
                pixels, style = reduced.make(*photos[page.content.photo])
                content = (pixels, with_options(style))
            else:
                content = (photos[page.content][0], with_options(photos[page.content][1]))
            return PageToWrite(content, tuple(map(lay_out, page.subpages)))

        layout = photo.page_layout or tuple(map(PageLayout, range(len(pages))))
        data = write_pages(list(map(lay_out, layout)))
        written = check_result(self, data, pages, photo.properties["bit_depth"], lossless=True)
        if _summarize(written.page_layout) != _summarize(layout):
            raise ImageError(ErrorCode.UNSUPPORTED_OUTPUT, "the TIFF file that was written has other pages than meant")
        return EncodedPhoto(data, marks)

    def explain_unreadable(self, data: bytes) -> ImageError:
        """Return the error for a file that matches and that Pillow could not identify."""
        del data
        return ImageError(ErrorCode.DAMAGED, "it starts like TIFF but is not a valid TIFF file")

    def read_coefficients(self, data: bytes, *, same_format: bool) -> None:
        """Return None: what a TIFF has in JPEG are tiles."""
        del data, same_format


def _summarize(layout: Sequence[PageLayout]) -> list[tuple[Any, ...]]:
    """Return what must be the same in a result: what each page and subpage is, and the samples that are copied."""
    return [
        (page.content.photo, page.content.channels, page.content.bits, page.content.alpha, len(page.subpages))
        if isinstance(page.content, ReducedPage)
        else (page.content.description, page.content.segments, len(page.subpages))
        if isinstance(page.content, KeptPage)
        else (page.content, len(page.subpages))
        for page in iter_layout(layout)
    ]
