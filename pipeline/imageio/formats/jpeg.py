"""JPEG of 8 bits per sample, with the pictures and videos that phones append."""

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from PIL import Image, JpegImagePlugin

from deepot.photo import JpegCoefficients, Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats import jpeg_markers, jpeg_mpf
from pipeline.imageio.formats.c2pa import join_credential_segments
from pipeline.imageio.formats.jpeg_coding import read_save_options, refine_options
from pipeline.imageio.formats.jpeg_coefficients import read_coefficients
from pipeline.imageio.formats.jpeg_end import complete_end
from pipeline.imageio.formats.jpeg_segments import fit_to_segments, mark_capacity
from pipeline.imageio.formats.option_checks import check_quality, check_subsampling
from pipeline.imageio.formats.pillow_format import PillowFormat, metadata_arguments, save_with_pillow
from pipeline.imageio.image_format import Capabilities
from pipeline.imageio.metadata.exif_profile import profile_from_exif
from pipeline.imageio.metadata.ifd import parse_exif_block
from pipeline.imageio.metadata.marking import MarkCapacity
from pipeline.imageio.metadata.metadata import Metadata
from pipeline.imageio.metadata.tiff_tags import read_exif_resolution

_MULTI_PICTURE = "MPO"  # Pillow's name of a JPEG with an index of pictures
_JFIF_RESOLUTION_UNITS = (1, 2)  # inch, centimetre; with any other, a JFIF header states the pixel aspect ratio only
_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # of segments that begin with the bits per sample


class JpegFormat(PillowFormat):
    """JPEG, coded again as the file is, with tables that are fine enough for what was added."""

    name = "JPEG"
    spec_name = "jpeg"
    extensions = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")
    capabilities = Capabilities(cmyk=True, alpha=False, max_side=65500)
    signatures = (b"\xff\xd8\xff",)

    def make_options(self, quality: float = 95, subsampling: str = "4:4:4", progressive: float = 0) -> dict[str, Any]:
        """Return Pillow's options for a quality from 1 to 100, a chroma subsampling and progressive coding."""
        return {
            "quality": check_quality(quality, 1),
            "subsampling": check_subsampling(subsampling),
            "progressive": bool(progressive),
        }

    def read_pixels(self, data: bytes, image: Image.Image, bits: int, profile: bytes | None) -> Pixels:
        """Decode the samples; those of a file without an end mark if all of them are there."""
        completed = complete_end(data)
        if completed is data:
            return super().read_pixels(data, image, bits, profile)
        with Image.open(io.BytesIO(completed), formats=[self.name]) as whole:
            return super().read_pixels(completed, whole, bits, profile)

    def check_frames(self, data: bytes, image: Image.Image) -> None:
        """Refuse a file whose index names several photos; gain maps and previews are not photos."""
        if image.format != _MULTI_PICTURE:
            super().check_frames(data, image)
        elif jpeg_mpf.has_multiple_photos(data):
            raise ImageError(
                ErrorCode.ANIMATED, "it has several photos (3D, a panorama, a burst); only single photos are supported"
            )

    def read_metadata(self, data: bytes, image: Image.Image) -> Metadata:
        """Return the metadata, with the segments that Pillow does not write by itself."""
        metadata = super().read_metadata(data, image)
        if metadata.icc is None and metadata.exif and image.mode == "RGB" and (tags := parse_exif_block(metadata.exif)):
            metadata = replace(metadata, icc=profile_from_exif(tags))
        if not isinstance(image, JpegImagePlugin.JpegImageFile):
            return metadata
        dpi = metadata.dpi
        if image.info.get("jfif_unit") not in _JFIF_RESOLUTION_UNITS:  # then Pillow's is that of EXIF, or made up
            dpi = read_exif_resolution(metadata.exif) if metadata.exif else None
        blocks = jpeg_markers.read_blocks(image, data)
        return replace(metadata, iptc=jpeg_markers.read_iptc(image), dpi=dpi, blocks=blocks)

    def read_credentials(self, data: bytes) -> bytes | None:
        """Return the C2PA manifest store in the segments APP11."""
        return join_credential_segments(jpeg_markers.iter_app11(data))

    def read_options(self, data: bytes, image: Image.Image, bits: int) -> dict[str, Any]:
        """Return Pillow's options for the same coding, as `read_save_options` finds them."""
        del data, bits
        return read_save_options(image) if isinstance(image, JpegImagePlugin.JpegImageFile) else {}

    def mark_capacity(self, options: Mapping[str, Any], metadata: Metadata) -> MarkCapacity:
        """Return what fits into segments."""
        del options
        return mark_capacity(metadata)

    def is_lossless(self, options: Mapping[str, Any]) -> bool:
        """Return False."""
        del options
        return False

    def encode(self, pixels: Pixels, bits: int, options: Mapping[str, Any], metadata: Metadata) -> bytes:
        """Encode pixels with all metadata, as far as it fits into segments."""
        del bits
        metadata = fit_to_segments(metadata)
        # a JFIF header, which has the resolution, means YCbCr; a file coded as RGB has its resolution in EXIF alone
        arguments = metadata_arguments(metadata, with_dpi=not options.get("keep_rgb"))
        segments = jpeg_markers.build_extra_option(metadata)
        coding = refine_options(options, pixels.samples.shape[2])
        data = save_with_pillow(pixels, self.name, {**coding, **segments, **arguments})
        return jpeg_markers.restore_density_and_trailer(data, metadata)

    def read_coefficients(self, data: bytes, *, same_format: bool) -> JpegCoefficients | None:
        """Return the coefficients of a file: see `jpeg_coefficients.read_coefficients`."""
        return read_coefficients(complete_end(data), same_format=same_format)

    def explain_unreadable(self, data: bytes) -> ImageError:
        """Return the error for a file that Pillow could not identify: a high bit depth, or a damaged file."""
        if 8 < (bits := _read_bit_depth(data)) <= 16:
            return ImageError(
                ErrorCode.UNSUPPORTED_BIT_DEPTH, f"{bits} bits per sample in JPEG; convert it to TIFF or PNG"
            )
        return super().explain_unreadable(data)


def _read_bit_depth(data: bytes) -> int:
    """Return the bits per sample that the frame header states; 8 if there is no frame header."""
    frames = (
        data[start]
        for marker, start, end in jpeg_mpf.iter_segments(data, 0)
        if marker in _SOF_MARKERS and start < len(data)
    )
    return next(frames, 8)
