"""PNG of 8 and 16 bits per sample."""

from collections.abc import Mapping
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from deepot.photo import Pixels
from pipeline.imageio.formats import png_chunks
from pipeline.imageio.formats.pillow_format import PillowFormat, read_dpi, save_with_pillow
from pipeline.imageio.image_format import Capabilities
from pipeline.imageio.metadata.metadata import Metadata
from pipeline.imageio.sample_arrays import interleave_alpha

_BIT_DEPTH_OFFSET = 24  # in the first chunk


class PngFormat(PillowFormat):
    """PNG, whose chunks are kept as they are around new pixels."""

    name = "PNG"
    spec_name = "png"
    extensions = (".png",)
    capabilities = Capabilities(max_bits=16)
    signatures = (png_chunks.SIGNATURE,)

    def make_options(self, level: float = 6) -> dict[str, Any]:
        """Return Pillow's options for a compression level from 0 to 9."""
        if level not in range(10):
            raise ValueError(f"level is {level:g}, it must be a whole number from 0 to 9")
        return {"compress_level": int(level)}

    def read_bit_depth(self, data: bytes, image: Image.Image) -> int:
        """Return the bits per sample of the header, at least 8."""
        del image
        return max(8, data[_BIT_DEPTH_OFFSET])

    def strip_for_decoder(self, data: bytes) -> bytes:
        """Return the chunks that decide the pixels, and the resolution."""
        return png_chunks.without_metadata(data)

    def describe_damaged_metadata(self, data: bytes) -> str | None:
        """Return the names of the chunks that cannot be read, with reasons."""
        return png_chunks.describe_damaged(data)

    def read_pixels(self, data: bytes, image: Image.Image, bits: int, profile: bytes | None) -> Pixels:
        """Decode the samples; those of 16 bits that Pillow would cut to 8 by imagecodecs."""
        if bits == 16 and image.mode != "I;16":
            array = imagecodecs.png_decode(data)
            return Pixels.from_array(array, profile, alpha=array.ndim == 3 and array.shape[2] in (2, 4))
        if isinstance(key := image.info.get("transparency"), int):
            image.info["transparency"] = _scale_transparent_grey(data[_BIT_DEPTH_OFFSET], key)
        return super().read_pixels(data, image, bits, profile)

    def read_metadata(self, data: bytes, image: Image.Image) -> Metadata:
        """Return the metadata in the chunks; colours that are stated by numbers become a profile."""
        profile = png_chunks.read_profile(data)
        stated_profile = png_chunks.read_stated_profile(data)  # refuses colours that are not supported
        return Metadata(
            profile or stated_profile,
            png_chunks.read_exif(data),
            png_chunks.read_xmp(data),
            png_chunks.read_iptc(data),
            read_dpi(image),
            png_chunks.read_blocks(data),
        )

    def read_credentials(self, data: bytes) -> bytes | None:
        """Return the C2PA manifest store in the chunk caBX."""
        return next((content for kind, content in png_chunks.iter_chunks(data) if kind == b"caBX"), None)

    def encode(self, pixels: Pixels, bits: int, options: Mapping[str, Any], metadata: Metadata) -> bytes:
        """Encode pixels, and put the metadata into chunks between header and pixels."""
        del bits
        if pixels.bit_depth == 16:
            array = interleave_alpha(pixels)
            array = np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array)
            data = bytes(imagecodecs.png_encode(array, level=options.get("compress_level")))
        else:
            data = save_with_pillow(pixels, self.name, options)
        return png_chunks.with_metadata(data, metadata)


def _scale_transparent_grey(bits: int, key: int) -> int:
    """Return the grey value that stands for transparency, scaled like Pillow scales samples of 1, 2 and 4 bits."""
    maximum = (1 << bits) - 1
    return (key & maximum) * (255 // maximum if bits < 8 else 1)
