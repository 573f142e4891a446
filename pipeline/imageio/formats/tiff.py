"""TIFF of one or several pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from deepot.photo import Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats.tiff_reader import read_page_sizes, read_pages
from pipeline.imageio.formats.tiff_writer import write_pages
from pipeline.imageio.header_checks import check_pixel_count, make_properties
from pipeline.imageio.image_format import Capabilities, DecodedImage, OutputFormat
from pipeline.imageio.metadata.metadata import MetadataPolicy
from pipeline.imageio.metadata.tiff_tags import PageStyle, metadata_from_tags, page_style_from_metadata
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
        """Decode all pages: see `ImageFormat.read`."""
        check_pixel_count(read_page_sizes(data), max_pixels)
        decoded_pages = list(read_pages(data))
        if not decoded_pages:
            raise ValueError("it starts like TIFF but has no pages")
        pages = [page.pixels for page in decoded_pages]
        page_styles = tuple(page.style for page in decoded_pages)
        metadata = metadata_from_tags(page_styles[0].tags)
        properties = make_properties(self.name, decoded_pages[0].mode, metadata, pages, pages[0].bit_depth)
        properties["damaged_metadata"] = None
        properties["has_exif"] = bool(page_styles[0].tags.children)  # every TIFF has tags that could make an EXIF block
        return DecodedImage(pages, properties, metadata, OutputFormat(self), page_styles)

    def write(
        self, photo: DecodedImage, pages: Sequence[Pixels], options: Mapping[str, Any], policy: MetadataPolicy
    ) -> bytes:
        """Encode pages with the tags of the photo's pages: see `ImageFormat.write`.

        Pages that are written as they were read keep their compression and tiles, each its own.
        """
        if photo.page_styles:
            styles = [style.apply_policy(policy) for style in photo.page_styles]
        else:
            metadata = photo.metadata.apply_policy(policy, photo.properties["orientation"]).for_other_format()
            styles = [page_style_from_metadata(metadata, dict(options))]
        if photo.is_resized_to(pages):
            styles = [style.with_size(page.width, page.height) for style, page in zip(styles, pages, strict=True)]
        if photo.matching_format is None or options is not photo.matching_format.options:
            styles = [PageStyle(style.tags, dict(options)) for style in styles]
        data = write_pages(list(zip(pages, styles, strict=True)))
        check_result(self, data, pages, photo.properties["bit_depth"], lossless=True)
        return data

    def explain_unreadable(self, data: bytes) -> ImageError:
        """Return the error for a file that matches and that Pillow could not identify."""
        del data
        return ImageError(ErrorCode.DAMAGED, "it starts like TIFF but is not a valid TIFF file")
