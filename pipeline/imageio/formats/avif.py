"""AVIF of 8 bits per sample."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from PIL import Image

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels
from pipeline.imageio.formats.c2pa import read_credential_box
from pipeline.imageio.formats.heif_items import has_orientation_property, read_stored_exif
from pipeline.imageio.formats.isobmff import drop_unused_colours, has_brand
from pipeline.imageio.formats.option_checks import check_quality, check_subsampling
from pipeline.imageio.formats.pillow_format import PillowFormat, metadata_arguments, save_with_pillow
from pipeline.imageio.image_format import Capabilities
from pipeline.imageio.metadata.cicp import read_nclx_profile
from pipeline.imageio.metadata.metadata import Metadata

_BRANDS = (b"avif", b"avis")


class AvifFormat(PillowFormat):
    """AVIF; files of more than 8 bits per sample are refused, as Pillow would truncate them."""

    name = "AVIF"
    spec_name = "avif"
    extensions = (".avif",)
    capabilities = Capabilities(max_side=2**15)  # of what libavif opens

    def matches(self, data: bytes) -> bool:
        """Whether the first box has a brand of AVIF, be it as a compatible one."""
        return has_brand(data, _BRANDS)

    def make_options(self, quality: float = 90, subsampling: str = "4:4:4", speed: float = 6) -> dict[str, Any]:
        """Return Pillow's options for a quality from 0 to 100, a chroma subsampling and a speed from 0 to 10."""
        return {"quality": check_quality(quality), "subsampling": check_subsampling(subsampling), "speed": int(speed)}

    def read_bit_depth(self, data: bytes, image: Image.Image) -> int:
        """Return 8.

        Raises:
            UnsupportedImageError: the file has more.
        """
        del image
        if (bits := _read_av1_bit_depth(data)) > 8:
            raise UnsupportedImageError(
                "unsupported_bit_depth", f"{bits} bits per sample in AVIF would be cut to 8; convert it to TIFF or PNG"
            )
        return 8

    def read_pixels(self, data: bytes, image: Image.Image, bits: int, profile: bytes | None) -> Pixels:
        """Decode the samples; Pillow reads grey with alpha as RGBA."""
        if image.mode == "RGBA" and _is_monochrome(data):
            image = drop_unused_colours(image)
        return super().read_pixels(data, image, bits, profile)

    def read_metadata(self, data: bytes, image: Image.Image) -> Metadata:
        """Return the metadata; colours that are stated by CICP numbers become a profile.

        Pillow returns EXIF with the orientation of the properties; where these state none, that of EXIF counts.
        """
        metadata = super().read_metadata(data, image)
        if not has_orientation_property(data):
            metadata = replace(metadata, exif=read_stored_exif(data) or metadata.exif)
        return replace(metadata, icc=metadata.icc or read_nclx_profile(data))

    def read_credentials(self, data: bytes) -> bytes | None:
        """Return the C2PA manifest store in its box."""
        return read_credential_box(data)

    def read_options(self, data: bytes, image: Image.Image, bits: int) -> dict[str, Any]:
        """Return fixed options of Pillow: a file does not state the quality that it was written with."""
        del data, image, bits
        return {"quality": 90, "subsampling": "4:4:4"}

    def is_lossless(self, options: Mapping[str, Any]) -> bool:
        """Return False."""
        del options
        return False

    def encode(self, pixels: Pixels, bits: int, options: Mapping[str, Any], metadata: Metadata) -> bytes:
        """Encode pixels; grey stays without chroma, and alpha makes the file lossless."""
        del bits
        grey = {"subsampling": "4:0:0"} if pixels.samples.shape[2] == 1 else {}
        lossless = {"codec": "aom", "advanced": {"a:lossless": "1"}} if pixels.alpha is not None else {}
        return save_with_pillow(pixels, self.name, {**options, **grey, **lossless, **metadata_arguments(metadata)})


def _read_av1_bit_depth(data: bytes) -> int:
    """Return the largest bits per sample, 8, 10 or 12, of the AV1 streams in a file."""
    return max(((12 if flags & 0x20 else 10) if flags & 0x40 else 8 for flags in _iter_av1c_flags(data)), default=8)


def _is_monochrome(data: bytes) -> bool:
    """Whether no AV1 stream in a file has colours."""
    return all(flags & 0x10 for flags in _iter_av1c_flags(data))


def _iter_av1c_flags(data: bytes) -> Iterator[int]:
    """Yield a byte of the configuration of each AV1 stream: tier, high bit depth, twelve bits, monochrome and more."""
    offset = data.find(b"av1C")
    while 0 <= offset < len(data) - 6:
        yield data[offset + 6]
        offset = data.find(b"av1C", offset + 4)
