"""BMP."""

from collections.abc import Mapping
from typing import Any

from deepot.photo import Pixels
from pipeline.imageio.formats.pillow_format import PillowFormat, metadata_arguments, save_with_pillow
from pipeline.imageio.image_format import Capabilities
from pipeline.imageio.metadata.metadata import Metadata
from pipeline.imageio.orientation import OrientationStorage


class BmpFormat(PillowFormat):
    """BMP, of whose metadata only the resolution is kept."""

    name = "BMP"
    spec_name = "bmp"
    extensions = (".bmp", ".dib")
    capabilities = Capabilities(alpha=False, icc=False, max_sample_bytes=4 * 10**9)
    orientation = OrientationStorage.PIXELS_IF_CROSS_FORMAT

    def encode(self, pixels: Pixels, bits: int, options: Mapping[str, Any], metadata: Metadata) -> bytes:
        """Encode pixels with their resolution."""
        del bits
        return save_with_pillow(pixels, self.name, {**options, **metadata_arguments(metadata, with_dpi=True)})
