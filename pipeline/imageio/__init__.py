"""Photos of all formats: bytes decoded to pixels and metadata, and encoded again."""

from pipeline.imageio.apple_double import is_apple_double
from pipeline.imageio.extensions import EXTENSIONS, IMAGE_EXTENSIONS, has_image_extension
from pipeline.imageio.file_suffix import extension_for
from pipeline.imageio.image_file import add_format_extension, check_writable, decode, encode
from pipeline.imageio.image_format import DecodedImage, OutputFormat
from pipeline.imageio.metadata.metadata import MetadataPolicy
from pipeline.imageio.metadata.sidecars import strip_sidecar_location
from pipeline.imageio.output_formats import find_unwritable_format, parse_output_format

__all__ = [
    "EXTENSIONS",
    "IMAGE_EXTENSIONS",
    "DecodedImage",
    "MetadataPolicy",
    "OutputFormat",
    "add_format_extension",
    "check_writable",
    "decode",
    "encode",
    "extension_for",
    "find_unwritable_format",
    "has_image_extension",
    "is_apple_double",
    "parse_output_format",
    "strip_sidecar_location",
]
