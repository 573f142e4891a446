"""The base class of formats that Pillow, or a plugin of it, reads and writes."""

import importlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, UnidentifiedImageError

from deepot.photo import JpegCoefficients, Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.header_checks import check_pixel_count, check_single_frame, make_properties
from pipeline.imageio.image_format import Capabilities, DecodedImage, EncodedPhoto, OutputFormat
from pipeline.imageio.metadata.ifd import read_orientation
from pipeline.imageio.metadata.mark_text import Mark
from pipeline.imageio.metadata.marking import NO_MARKS, MarkCapacity, add_mark
from pipeline.imageio.metadata.metadata import EXIF_HEADER, Metadata, MetadataPolicy, validate_resolution
from pipeline.imageio.orientation import OrientationStorage, orient_for_format
from pipeline.imageio.result_check import check_result


class PillowFormat:
    """A format of single photos; subclasses replace what differs.

    Attributes:
        name: as in `ImageFormat`, and Pillow's own name of the format.
        signatures: what its files begin with; empty for a format that only its decoder recognises.
        orientation: how its files state the orientation.
    """

    name: str
    spec_name: str | None = None
    extensions: tuple[str, ...]
    writable: bool = True
    plugin: str | None = None
    capabilities: Capabilities = Capabilities()
    signatures: tuple[bytes, ...] = ()
    orientation: OrientationStorage = OrientationStorage.EXIF

    def is_available(self) -> bool:
        """Whether files can be read and written here; registers the plugin of a format that has one."""
        if self.name not in Image.OPEN and self.plugin is not None:
            try:
                self.register_plugin(importlib.import_module(self.plugin))
            except ImportError:
                return False
        elif self.name not in Image.OPEN:
            Image.init()
        return self.name in Image.OPEN and (self.name in Image.SAVE or not self.writable)

    def matches(self, data: bytes) -> bool:
        """Whether the bytes begin with a signature of the format; if it has none, whether Pillow identifies them."""
        if self.signatures:
            return data.startswith(self.signatures)
        try:
            with Image.open(io.BytesIO(data), formats=[self.name]):
                return True
        except UnidentifiedImageError:
            return False
        except Exception:  # identified, and damaged: `read` raises it again
            return True

    def make_options(self) -> dict[str, Any]:
        """Return the encoder's options for `output.format`; this format has none."""
        return {}

    def read(self, data: bytes, max_pixels: int) -> DecodedImage:
        """Decode a file: see `ImageFormat.read`."""
        if not self.is_available():
            raise UnidentifiedImageError(f"{self.name} cannot be read")
        self.check_header(data, max_pixels)
        decodable = self.strip_for_decoder(data)
        with Image.open(io.BytesIO(decodable), formats=[self.name]) as image:
            check_pixel_count((image.size,), max_pixels)
            self.check_frames(data, image)
            metadata = self.read_metadata(data, image)
            bits = self.read_bit_depth(data, image)
            pixels = self.read_pixels(decodable, image, bits, metadata.icc)
            mode = "I;16" if image.mode == "I" else image.mode
            properties = make_properties(self.name, mode, metadata, [pixels], bits)
            properties["damaged_metadata"] = self.describe_damaged_metadata(data)
            matching = OutputFormat(self, self.read_options(data, image, bits)) if self.writable else None
            return DecodedImage([pixels], properties, metadata, matching, credentials=self.read_credentials(data))

    def write(
        self,
        photo: DecodedImage,
        pages: Sequence[Pixels],
        options: Mapping[str, Any],
        policy: MetadataPolicy,
        mark: Mark | None,
    ) -> EncodedPhoto:
        """Encode one page as a file: see `ImageFormat.write`."""
        metadata = photo.metadata.apply_policy(policy, photo.properties["orientation"])
        if photo.is_resized_to(pages):
            metadata = metadata.with_size(pages[0].width, pages[0].height)
        cross_format = photo.properties["format"] != self.name
        if cross_format:
            metadata = metadata.for_other_format()
        pixels, metadata = orient_for_format(pages[0], metadata, self.orientation, cross_format=cross_format)
        metadata, marks = add_mark(metadata, mark, policy, self.mark_capacity(options, metadata))
        bits = photo.properties["bit_depth"]
        data = self.encode(pixels, bits, options, metadata)
        if self.orientation is OrientationStorage.PLUGIN:
            pixels = pixels.apply_orientation(read_orientation(metadata.exif))
        check_result(self, data, [pixels], bits, lossless=self.is_lossless(options))
        return EncodedPhoto(data, marks)

    def explain_unreadable(self, data: bytes) -> ImageError:
        """Return the error for a file that matches and that `read` could not identify."""
        del data
        if not self.is_available():
            needed = f" it needs {self.plugin}: pip install 'deepot[formats]'" if self.plugin else ""
            return ImageError(ErrorCode.UNSUPPORTED_FORMAT, f"{self.name} files cannot be read here;{needed}")
        return ImageError(ErrorCode.DAMAGED, f"it starts like {self.name} but is not a valid {self.name} file")

    def read_coefficients(self, data: bytes, *, same_format: bool) -> JpegCoefficients | None:
        """Return None: only JPEG has coefficients."""
        del data, same_format
        return None

    # What formats replace.

    def register_plugin(self, module: Any) -> None:  # noqa: ANN401 — a module
        """Let the imported plugin register itself with Pillow; most do so when they are imported."""

    def check_header(self, data: bytes, max_pixels: int) -> None:
        """Check the size and frames in a header that is read before Pillow opens the file."""

    def strip_for_decoder(self, data: bytes) -> bytes:
        """Return the bytes that Pillow decodes: the file, without metadata that it may refuse."""
        return data

    def describe_damaged_metadata(self, data: bytes) -> str | None:
        """Return which metadata are damaged and therefore left out of the result; None if none are."""
        del data
        return None

    def read_credentials(self, data: bytes) -> bytes | None:
        """Return the C2PA manifest store of a file; None if it has none."""
        del data
        return None

    def mark_capacity(self, options: Mapping[str, Any], metadata: Metadata) -> MarkCapacity:
        """Return how much of a mark a file with these options and this metadata can hold."""
        del options, metadata
        return MarkCapacity() if self.capabilities.metadata else NO_MARKS

    def check_frames(self, data: bytes, image: Image.Image) -> None:
        """Refuse a file with several frames."""
        del data
        # n_frames would decode all frames of a GIF
        check_single_frame(is_animated=bool(getattr(image, "is_animated", False)))

    def read_bit_depth(self, data: bytes, image: Image.Image) -> int:
        """Return the bits per sample that the header states, at least 8.

        Raises:
            UnsupportedImageError: more than can be read without truncating them.
        """
        del data
        return 16 if image.mode.startswith("I;16") else 8

    def read_pixels(self, data: bytes, image: Image.Image, bits: int, profile: bytes | None) -> Pixels:
        """Decode the samples.

        Args:
            data: the file.
            image: the same file, opened by Pillow.
            bits: its bits per sample.
            profile: its ICC profile.
        """
        del data, bits
        if profile is not None:
            image.info["icc_profile"] = profile
        return Pixels.from_image(image)

    def read_metadata(self, data: bytes, image: Image.Image) -> Metadata:
        """Return the metadata of a file, as far as Pillow knows it."""
        del data
        exif = image.info.get("exif")  # Pillow's getexif would add the orientation that XMP states
        xmp = image.info.get("xmp")
        return Metadata(
            icc=image.info.get("icc_profile") or None,
            exif=exif.removeprefix(EXIF_HEADER) or None if exif else None,
            xmp=(xmp.encode() if isinstance(xmp, str) else xmp) or None,
            dpi=read_dpi(image),
        )

    def read_options(self, data: bytes, image: Image.Image, bits: int) -> dict[str, Any]:
        """Return the encoder's options with which a file is written as this one was."""
        del data, image, bits
        return {}

    def is_lossless(self, options: Mapping[str, Any]) -> bool:
        """Whether files that are written with these options of the encoder have the same samples."""
        del options
        return True

    def encode(self, pixels: Pixels, bits: int, options: Mapping[str, Any], metadata: Metadata) -> bytes:
        """Encode pixels as a file.

        Args:
            pixels: 8 or 16 bits per sample.
            bits: how many of 16 bits per sample are kept.
            options: of the encoder.
            metadata: what is written into the file.
        """
        del bits
        return save_with_pillow(pixels, self.name, {**options, **metadata_arguments(metadata)})


def read_dpi(image: Image.Image) -> tuple[float, float] | None:
    """Return the horizontal and vertical resolution that Pillow finds in a file, in dots per inch."""
    dpi = image.info.get("dpi")
    return validate_resolution(*dpi[:2]) if dpi else None


def metadata_arguments(metadata: Metadata, *, with_dpi: bool = False) -> dict[str, Any]:
    """Return the arguments by which Pillow's writers take metadata, without those that would be empty."""
    arguments = {
        "icc_profile": metadata.icc,
        "exif": EXIF_HEADER + metadata.exif if metadata.exif else None,
        "xmp": metadata.xmp,
        "dpi": metadata.dpi if with_dpi else None,
    }
    return {name: value for name, value in arguments.items() if value}


def save_with_pillow(pixels: Pixels, name: str, options: Mapping[str, Any]) -> bytes:
    """Encode pixels by Pillow's writer of this name."""
    image = pixels.to_image()
    image.info.pop("icc_profile", None)  # PNG and JPEG 2000 get theirs in chunks and boxes, the others as an argument
    with io.BytesIO() as file:
        image.save(file, name, **options)
        return file.getvalue()
