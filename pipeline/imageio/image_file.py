"""The bytes of a photo decoded to pixels and metadata, and pixels encoded as a photo."""

import io
from collections.abc import Sequence

from PIL import Image, UnidentifiedImageError

from deepot.errors import UnsupportedImageError
from deepot.photo import JpegCoefficients, Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.apple_double import is_apple_double
from pipeline.imageio.image_format import DecodedImage, EncodedPhoto, OutputFormat
from pipeline.imageio.library_settings import ignored_warnings, relaxed_libraries
from pipeline.imageio.metadata.mark_text import Mark
from pipeline.imageio.metadata.metadata import MetadataPolicy
from pipeline.imageio.output_formats import parse_output_format, unsupported_reason
from pipeline.imageio.registry import detect_format


def decode(data: bytes, max_pixels: int) -> DecodedImage:
    """Decode the bytes of a photo.

    Args:
        data: a complete file.
        max_pixels: pixels of all pages together; a larger photo is refused before any pixel is decoded.

    Raises:
        ImageError: empty, no image, damaged, animated, too large, or of a format, mode or depth that is not supported.
    """
    if not data:
        raise ImageError(ErrorCode.EMPTY_FILE, "the file is empty")
    with relaxed_libraries, ignored_warnings:
        found = detect_format(data)
        if found is None:
            raise _explain_unknown_format(data)
        try:
            return found.read(data, max_pixels)
        except ImageError:
            raise
        except UnidentifiedImageError as error:
            raise found.explain_unreadable(data) from error
        except UnsupportedImageError as error:
            raise ImageError(ErrorCode(error.code), str(error)) from error
        except MemoryError as error:
            raise ImageError(ErrorCode.OUT_OF_MEMORY, "not enough memory to decode the photo") from error
        except Exception as error:  # decoders raise anything for damaged files
            raise ImageError(ErrorCode.DAMAGED, f"cannot be decoded: {error}") from error


def read_coefficients(data: bytes, *, same_format: bool = False) -> JpegCoefficients | None:
    """Return the quantised coefficients of a photo that `decode` has decoded; None if it has none that are known.

    Those of JPEG are known, except for CMYK and for arithmetic coding.

    Args:
        data: the file.
        same_format: whether the result is written in the format `same`; it is then known how it is quantised.
    """
    with relaxed_libraries, ignored_warnings:
        found = detect_format(data)
        return found.read_coefficients(data, same_format=same_format) if found is not None else None


def encode(photo: DecodedImage, pages: Pixels | Sequence[Pixels], format_spec: str, metadata_policy: str) -> bytes:
    """Encode pixels as a photo.

    Args:
        photo: the photo that they come from.
        pages: the samples to write, one item per page.
        format_spec: `same`, or the name of a format with its options: see `parse_output_format`.
        metadata_policy: `keep`, `strip-gps` or `strip`.

    Raises:
        ImageError: the format cannot hold such pixels.
    """
    return encode_marked(photo, pages, format_spec, metadata_policy, None).data


def encode_marked(
    photo: DecodedImage,
    pages: Pixels | Sequence[Pixels],
    format_spec: str,
    metadata_policy: str,
    mark: Mark | None,
) -> EncodedPhoto:
    """Encode pixels as a photo that states how it was made.

    Args:
        photo: the photo that they come from.
        pages: as for `encode`.
        format_spec: as for `encode`.
        metadata_policy: as for `encode`; whatever it removes, the mark stays.
        mark: what the photo states, in XMP and EXIF as far as the format has them; None if it states nothing.

    Returns:
        The file, and which marks it carries.

    Raises:
        ImageError: the format cannot hold such pixels. A mark that cannot be written is no error.
    """
    page_list = [pages] if isinstance(pages, Pixels) else list(pages)
    output_format = _select_writable_format(photo, page_list, format_spec)
    policy = MetadataPolicy(metadata_policy)
    try:
        with relaxed_libraries:
            return output_format.format.write(photo, page_list, output_format.options, policy, mark)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ImageError(ErrorCode.UNSUPPORTED_OUTPUT, f"cannot be written as {output_format.name}: {error}") from error


def check_writable(photo: DecodedImage, format_spec: str, scale: int = 1) -> None:
    """Check, before any work on a photo, that a format can hold its result.

    Args:
        photo: the photo.
        format_spec: as for `encode`.
        scale: how many times larger the result is along each axis.

    Raises:
        ImageError: `encode` would refuse pages of this kind and size, for the same reason and with the same code.
    """
    _select_writable_format(photo, photo.pages, format_spec, scale)


def _select_writable_format(
    photo: DecodedImage, pages: Sequence[Pixels], format_spec: str, scale: int = 1
) -> OutputFormat:
    """Return the format to write; raises ImageError if it cannot hold pages, enlarged by `scale`."""
    output_format = _resolve_format(format_spec, photo)
    if output_format is None:
        name = photo.properties["format"]
        raise ImageError(
            ErrorCode.UNSUPPORTED_FORMAT, f"{name} files cannot hold the result; set output.format, to png for instance"
        )
    bits, icc = photo.properties["bit_depth"], photo.metadata.icc
    if reason := unsupported_reason(output_format.format, pages, bits, icc, scale):
        raise ImageError(ErrorCode.UNSUPPORTED_OUTPUT, f"cannot be written as {output_format.name}: {reason}")
    return output_format


def add_format_extension(key: str, format_spec: str, photo: DecodedImage | None = None) -> str:
    """Return the name of a result: the input's own, with an extension of the result's format appended if it has none.

    Two inputs may get one name: a PNG that was called `scan.jpg` becomes `scan.jpg.png`. See
    `pipeline.outputs.output_key_for`.

    Args:
        key: the input's name.
        format_spec: as for `encode`.
        photo: the input; without it the name is unchanged if `format_spec` is `same`.
    """
    output_format = _resolve_format(format_spec, photo)
    if output_format is None or key.lower().endswith(output_format.extensions):
        return key
    return key + output_format.extensions[0]


def _resolve_format(format_spec: str, photo: DecodedImage | None) -> OutputFormat | None:
    """Return the format to write; None if it is that of a photo that is unknown, or of a read-only format."""
    return parse_output_format(format_spec) or (photo.matching_format if photo is not None else None)


def _explain_unknown_format(data: bytes) -> ImageError:
    """Return the error for a file that has none of the registered formats."""
    if is_apple_double(data):
        return ImageError(
            ErrorCode.NOT_AN_IMAGE,
            "it is an AppleDouble file, which holds what macOS keeps about a file and no photo: copy the photo itself "
            "again",
        )
    try:
        with Image.open(io.BytesIO(data)) as image:
            return ImageError(
                ErrorCode.UNSUPPORTED_FORMAT, f"{image.format} files are not supported; convert it to PNG or TIFF"
            )
    except Exception:  # whatever Pillow's other plugins raise
        return ImageError(ErrorCode.NOT_AN_IMAGE, "no image format that Pillow knows")
