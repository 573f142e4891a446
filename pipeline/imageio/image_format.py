"""The protocol that every photo format implements, and the values that it takes and returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from deepot.photo import JpegCoefficients, Pixels
from pipeline.errors import ImageError
from pipeline.imageio.formats.tiff_layout import PageLayout
from pipeline.imageio.metadata.mark_text import Mark
from pipeline.imageio.metadata.marking import UNMARKED
from pipeline.imageio.metadata.metadata import Metadata, MetadataPolicy
from pipeline.imageio.metadata.tiff_tags import PageStyle

STRIP_PIXELS = 32
"""Pages with a side of fewer pixels are strips, for which an encoder may have another limit."""


@dataclass(frozen=True)
class Capabilities:
    """What the files of a format can hold.

    Attributes:
        max_bits: bits per sample.
        multi_page: whether there may be several pages.
        cmyk: whether there may be four colour channels.
        alpha: whether there may be an alpha channel.
        icc: whether there may be an ICC profile.
        grey: whether there may be a single colour channel.
        grey_extras: whether grey photos too may have alpha and a profile, where photos in colour may.
        max_side: pixels of a side.
        max_strip_side: the same for a page whose other side has fewer than `STRIP_PIXELS`.
        metadata: whether there may be XMP and EXIF.
        max_sample_bytes: bytes of the samples and the alpha channels of all pages, uncompressed.
    """

    max_bits: int = 8
    multi_page: bool = False
    cmyk: bool = False
    alpha: bool = True
    icc: bool = True
    grey: bool = True
    grey_extras: bool = True
    max_side: int = 2**31 - 1
    max_strip_side: int = 2**31 - 1
    metadata: bool = True
    max_sample_bytes: int = 2**63 - 1


class EncodedPhoto(NamedTuple):
    """A photo as a file.

    Attributes:
        data: the file.
        marks: which marks it carries, `xmp+exif`, `xmp`, `exif` or `none`, with the reason where one is missing.
    """

    data: bytes
    marks: str = UNMARKED


class ImageFormat(Protocol):
    """A photo format: a module in `formats/` implements it, and `registry.FORMATS` lists it."""

    @property
    def name(self) -> str:
        """The unique name in the manifest, e.g. `JPEG`."""
        ...

    @property
    def spec_name(self) -> str | None:
        """The name in `output.format`, e.g. `jpeg`; None for a format that is written as `same` only, or not at all."""
        ...

    @property
    def extensions(self) -> tuple[str, ...]:
        """File name extensions in lower case with the dot; a result that has none of them gets the first one."""
        ...

    @property
    def writable(self) -> bool:
        """Whether results can be written."""
        ...

    @property
    def plugin(self) -> str | None:
        """The module that must be installed to read and write the format; None if there is nothing to install."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What a result may consist of."""
        ...

    @property
    def make_options(self) -> Callable[..., dict[str, Any]]:
        """A method that takes the options of `output.format` and returns those of the encoder.

        Its parameters are the names, types (float or str) and defaults of the options. It raises ValueError for a value
        that is not supported.
        """
        ...

    def is_available(self) -> bool:
        """Whether files can be read and written here; registers the plugin of a format that has one."""
        ...

    def matches(self, data: bytes) -> bool:
        """Whether the bytes are a file of this format, judged by their signature and without decoding pixels."""
        ...

    def read(self, data: bytes, max_pixels: int) -> "DecodedImage":
        """Decode a file, after its header has shown that it is no larger than `max_pixels` and is a single photo.

        Raises:
            ImageError: too many pixels, or several frames.
            UnsupportedImageError: a mode or bit depth without an exact way back.
            UnidentifiedImageError: a file that has the signature of the format and is otherwise unreadable.
            Exception: whatever decoders raise for damaged files.
        """
        ...

    def write(
        self,
        photo: "DecodedImage",
        pages: Sequence[Pixels],
        options: Mapping[str, Any],
        policy: MetadataPolicy,
        mark: Mark | None,
    ) -> EncodedPhoto:
        """Encode pixels as a file with the metadata of the photo that they come from.

        Args:
            photo: the photo; its bit depth is kept, as far as the format has it.
            pages: the samples in stored orientation, one page unless the format is `multi_page`; their size may
                differ from that of the photo.
            options: of the encoder, from `make_options` or `photo.matching_format`.
            policy: which metadata is written.
            mark: what is added to the metadata, as far as the format holds it; None if nothing is.
        """
        ...

    def explain_unreadable(self, data: bytes) -> ImageError:
        """Return the error for a file that matches and that `read` could not identify."""
        ...

    def read_coefficients(self, data: bytes, *, same_format: bool) -> JpegCoefficients | None:
        """Return the quantised coefficients of a file that `read` can decode; None if it has none that are known.

        Args:
            data: the file.
            same_format: whether results are written as the file is, so that it is known how they are quantised.
        """
        ...


@dataclass(frozen=True)
class OutputFormat:
    """A format to write, with the options of its encoder."""

    format: ImageFormat
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the format."""
        return self.format.name

    @property
    def extensions(self) -> tuple[str, ...]:
        """The file name extensions of the format; a result without any of them gets the first one."""
        return self.format.extensions


@dataclass
class DecodedImage:
    """A decoded photo.

    Attributes:
        pages: the samples in stored orientation of each page that is a photo; only TIFFs have more than one.
        properties: manifest columns of the first page: width, height, mode, bit_depth, format, pages, orientation,
            has_alpha, has_icc, has_exif, damaged_metadata, other_pages.
        metadata: EXIF, XMP, ICC profile and the rest.
        matching_format: how to write the same format with the options of this file; None for a read-only format.
        page_styles: tags and encoder options of each of the pages, for a TIFF.
        page_layout: what a TIFF consists of: photos, reduced images of them, and what stays as it is.
        credentials: the C2PA manifest store in the file, which no result has; None if there is none.
    """

    pages: list[Pixels]
    properties: dict[str, Any]
    metadata: Metadata
    matching_format: OutputFormat | None
    page_styles: tuple[PageStyle, ...] = ()
    page_layout: tuple[PageLayout, ...] = ()
    credentials: bytes | None = field(default=None, repr=False)

    @property
    def pixels(self) -> Pixels:
        """The first page."""
        return self.pages[0]

    @property
    def pixel_count(self) -> int:
        """Pixels of all photos."""
        return sum(page.height * page.width for page in self.pages)

    def is_resized_to(self, pages: Sequence[Pixels]) -> bool:
        """Whether the pages have another size than the photo."""
        return (pages[0].width, pages[0].height) != (self.properties["width"], self.properties["height"])
