"""Where a format states how its photos are to be turned, and turning them where viewers would not."""

from dataclasses import replace
from enum import Enum, auto

from deepot.photo import Pixels
from pipeline.imageio.metadata.ifd import read_orientation, with_orientation
from pipeline.imageio.metadata.metadata import Metadata
from pipeline.imageio.metadata.xmp import reset_xmp_orientation


class OrientationStorage(Enum):
    """How the orientation of a photo gets into a file.

    EXIF: by its EXIF block, which viewers obey.
    PIXELS_IF_CROSS_FORMAT: viewers ignore EXIF, so that the pixels of a photo of another format are turned; a photo
        of the same format looked as it is stored.
    PIXELS: viewers ignore EXIF, and the decoder has turned the photo: its pixels are turned always.
    PLUGIN: the encoder turns the pixels by the EXIF block; it would obey XMP too.
    """

    EXIF = auto()
    PIXELS_IF_CROSS_FORMAT = auto()
    PIXELS = auto()
    PLUGIN = auto()


def orient_for_format(
    pixels: Pixels, metadata: Metadata, storage: OrientationStorage, *, cross_format: bool
) -> tuple[Pixels, Metadata]:
    """Return pixels and metadata with which viewers of the format show the photo upright.

    Args:
        pixels: in stored orientation.
        metadata: with the orientation in its EXIF block.
        storage: how the format to be written states orientations.
        cross_format: whether the photo was of another format.
    """
    if storage is OrientationStorage.PLUGIN:
        return pixels, _with_upright_xmp(metadata)
    turns_pixels = storage is OrientationStorage.PIXELS or (
        storage is OrientationStorage.PIXELS_IF_CROSS_FORMAT and cross_format
    )
    if not turns_pixels or not metadata.exif:
        return pixels, metadata
    turned = pixels.apply_orientation(read_orientation(metadata.exif))
    upright = replace(_with_upright_xmp(metadata), exif=with_orientation(metadata.exif, 1))
    if turned.width != pixels.width:
        upright = replace(upright.with_size(turned.width, turned.height), dpi=metadata.dpi and metadata.dpi[::-1])
    return turned, upright


def _with_upright_xmp(metadata: Metadata) -> Metadata:
    return replace(metadata, xmp=reset_xmp_orientation(metadata.xmp)) if metadata.xmp else metadata
