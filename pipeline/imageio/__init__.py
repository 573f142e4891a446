"""Formats: what a container file carries beside pixels, read and written without loss."""

from pipeline.imageio.extensions import EXTENSIONS, IMAGE_EXTENSIONS, has_image_extension
from pipeline.imageio.file_suffix import extension_for
from pipeline.imageio.image_file import DecodedImage, add_format_extension, decode, encode
from pipeline.imageio.metadata.metadata import MetadataPolicy
from pipeline.imageio.output_formats import parse_output_format

__all__ = [
    "EXTENSIONS",
    "IMAGE_EXTENSIONS",
    "DecodedImage",
    "MetadataPolicy",
    "add_format_extension",
    "decode",
    "encode",
    "extension_for",
    "has_image_extension",
    "parse_output_format",
]
