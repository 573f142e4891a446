"""BMP."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from PIL import Image

from deepot.photo import Pixels
from pipeline.imageio.formats import bmp_header
from pipeline.imageio.formats.pillow_format import PillowFormat, metadata_arguments, save_with_pillow
from pipeline.imageio.image_format import Capabilities
from pipeline.imageio.metadata.metadata import Metadata
from pipeline.imageio.orientation import OrientationStorage


class BmpFormat(PillowFormat):
    """BMP, of whose metadata the resolution and the profile are kept; alpha and a profile need version 5."""

    name = "BMP"
    spec_name = "bmp"
    extensions = (".bmp", ".dib")
    capabilities = Capabilities(grey_extras=False, metadata=False, max_sample_bytes=4 * 10**9)
    orientation = OrientationStorage.PIXELS_IF_CROSS_FORMAT

    def check_header(self, data: bytes, max_pixels: int) -> None:
        """Refuse masks and colours that cannot be read completely."""
        del max_pixels
        bmp_header.check_header(data)

    def read_metadata(self, data: bytes, image: Image.Image) -> Metadata:
        """Return the resolution and the profile; colours that are stated by numbers become a profile."""
        return replace(super().read_metadata(data, image), icc=bmp_header.read_profile(data))

    def describe_damaged_metadata(self, data: bytes) -> str | None:
        """Return that the profile is damaged, if it is."""
        return bmp_header.describe_damaged(data)

    def read_pixels(self, data: bytes, image: Image.Image, bits: int, profile: bytes | None) -> Pixels:
        """Decode the samples; a palette of grey values becomes RGB where the profile is one of RGB."""
        if image.mode in ("1", "L") and profile is not None and profile[16:20] == b"RGB ":
            image = image.convert("RGB")
        return super().read_pixels(data, image, bits, profile)

    def encode(self, pixels: Pixels, bits: int, options: Mapping[str, Any], metadata: Metadata) -> bytes:
        """Encode pixels with their resolution; those with alpha or a profile as a file of version 5."""
        del bits
        if pixels.samples.shape[2] == 3 and (pixels.alpha is not None or metadata.icc is not None):
            return bmp_header.encode_v5(pixels, metadata.icc, metadata.dpi)
        arguments = metadata_arguments(replace(metadata, icc=None), with_dpi=True)
        return save_with_pillow(pixels, self.name, {**options, **arguments})
