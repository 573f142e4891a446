from .apple_double import is_apple_double
from .extensions import EXTENSIONS, IMAGE_EXTENSIONS, has_image_extension
from .file_suffix import extension_for
from .image_file import add_format_extension, check_writable, decode, encode, encode_marked, read_coefficients
from .image_format import DecodedImage, EncodedPhoto, OutputFormat
from .metadata.mark_text import Mark
from .metadata.metadata import MetadataPolicy
from .metadata.sidecars import strip_sidecar_location
from .output_formats import SAME_FORMAT, find_unwritable_format, parse_output_format

__all__ = [
    "EXTENSIONS",
    "IMAGE_EXTENSIONS",
    "SAME_FORMAT",
    "DecodedImage",
    "EncodedPhoto",
    "Mark",
    "MetadataPolicy",
    "OutputFormat",
    "add_format_extension",
    "check_writable",
    "decode",
    "encode",
    "encode_marked",
    "extension_for",
    "find_unwritable_format",
    "has_image_extension",
    "is_apple_double",
    "parse_output_format",
    "read_coefficients",
    "strip_sidecar_location",
]
