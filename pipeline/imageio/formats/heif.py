"""HEIF of 8, 10 and 12 bits per sample, by the plugin pillow_heif."""

import importlib
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from deepot.photo import Pixels
from pipeline.imageio.formats.c2pa import read_credential_box
from pipeline.imageio.formats.heif_items import has_orientation_property
from pipeline.imageio.formats.isobmff import drop_unused_colours, has_brand
from pipeline.imageio.formats.option_checks import check_quality, check_subsampling
from pipeline.imageio.formats.pillow_format import PillowFormat, metadata_arguments, save_with_pillow
from pipeline.imageio.image_format import Capabilities
from pipeline.imageio.metadata.cicp import read_nclx_profile
from pipeline.imageio.metadata.ifd import with_stated_orientation
from pipeline.imageio.metadata.metadata import Metadata
from pipeline.imageio.orientation import OrientationStorage
from pipeline.imageio.sample_arrays import check_16_bits, from_uint16, interleave_alpha, to_uint16

_MAX_BITS = 12
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")


class HeifFormat(PillowFormat):
    """HEIF; its photos come out of the decoder turned as their properties state, and go upright into the encoder."""

    name = "HEIF"
    spec_name = "heif"
    extensions = (".heic", ".heif", ".hif")
    plugin = "pillow_heif"
    capabilities = Capabilities(max_bits=_MAX_BITS, max_side=65528, max_strip_side=4216)  # of libheif, x265
    orientation = OrientationStorage.PLUGIN

    def register_plugin(self, module: Any) -> None:  # noqa: ANN401 — a module
        """Let Pillow read and write HEIF."""
        module.register_heif_opener()

    def matches(self, data: bytes) -> bool:
        """Whether the first box has a brand of HEIF."""
        return has_brand(data, _BRANDS)

    def make_options(self, quality: float = 95, subsampling: str = "4:4:4") -> dict[str, Any]:
        """Return the options of pillow_heif for a quality from 0 to 100 and a chroma subsampling."""
        return {"quality": check_quality(quality), "chroma": check_subsampling(subsampling).replace(":", "")}

    def read_bit_depth(self, data: bytes, image: Image.Image) -> int:
        """Return the bits per sample that the plugin reports."""
        del data
        return int(image.info.get("bit_depth", 8))

    def read_pixels(self, data: bytes, image: Image.Image, bits: int, profile: bytes | None) -> Pixels:
        """Decode the samples; those of 10 and 12 bits are scaled to uint16, grey with alpha stays grey."""
        if bits > 8:
            check_16_bits(bits)
            return _decode_high_bit_depth(data, bits, profile)
        if image.mode == "RGBA" and "chroma" not in image.info:
            image = drop_unused_colours(image)
        return super().read_pixels(data, image, bits, profile)

    def read_metadata(self, data: bytes, image: Image.Image) -> Metadata:
        """Return the metadata; colours that are stated by CICP numbers become a profile.

        The plugin sets the orientation of EXIF and XMP to upright, which is wrong where no property has turned the
        photo.
        """
        metadata = super().read_metadata(data, image)
        orientation = int(image.info.get("original_orientation") or 1)
        if orientation in range(2, 9) and not has_orientation_property(data):
            metadata = replace(metadata, exif=with_stated_orientation(metadata.exif, orientation))
        return replace(metadata, icc=metadata.icc or read_nclx_profile(data))

    def read_credentials(self, data: bytes) -> bytes | None:
        """Return the C2PA manifest store in its box."""
        return read_credential_box(data)

    def read_options(self, data: bytes, image: Image.Image, bits: int) -> dict[str, Any]:
        """Return the options of pillow_heif for the same chroma subsampling; the quality is not stated."""
        del data, bits
        return {"quality": 95, "chroma": str(image.info.get("chroma") or 444)}

    def is_lossless(self, options: Mapping[str, Any]) -> bool:
        """Return False."""
        del options
        return False

    def encode(self, pixels: Pixels, bits: int, options: Mapping[str, Any], metadata: Metadata) -> bytes:
        """Encode pixels with 8 bits per sample, or with 10 or 12 if they have 16."""
        arguments = metadata_arguments(metadata)
        if pixels.bit_depth == 16:
            return _encode_high_bit_depth(pixels, 10 if bits <= 10 else _MAX_BITS, options, arguments)
        return save_with_pillow(pixels, self.name, {**options, **arguments})


def _decode_high_bit_depth(data: bytes, bits: int, profile: bytes | None) -> Pixels:
    """Decode the samples of a file of 10 or 12 bits, scaled to uint16, upright."""
    heif = importlib.import_module("pillow_heif")
    file = heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    array = np.asarray(file[file.primary_index])[: file.size[1], : file.size[0]]
    alpha = array.ndim == 3 and array.shape[2] == 4
    if alpha and "chroma" not in file.info and (array[:, :, :1] == array[:, :, 1:3]).all():
        array = array[:, :, [0, 3]]  # a file without chroma is decoded as RGBA
    return Pixels.from_array(to_uint16(array, bits), profile, alpha=alpha)


def _encode_high_bit_depth(pixels: Pixels, bits: int, options: Mapping[str, Any], info: Mapping[str, Any]) -> bytes:
    """Encode samples of uint16 with 10 or 12 bits.

    Args:
        pixels: grey or RGB.
        bits: 10 or 12.
        options: of pillow_heif: quality, chroma.
        info: `icc_profile`, `exif` and `xmp`, as far as the photo has them.
    """
    heif = importlib.import_module("pillow_heif")
    samples = interleave_alpha(pixels)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[samples.shape[2]]
    size = (pixels.width, pixels.height)
    file = heif.from_bytes(f"{mode};{bits}", size, np.ascontiguousarray(from_uint16(samples, bits)).tobytes())
    file[0].info.update(info)
    with io.BytesIO() as sink:
        file.save(sink, **options)
        return sink.getvalue()
