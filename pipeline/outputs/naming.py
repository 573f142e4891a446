"""The names of results in the layout `files`: they mirror the inputs, and no two inputs get the same one."""

import re

from pipeline.imageio import (
    IMAGE_EXTENSIONS,
    SAME_FORMAT,
    DecodedImage,
    add_format_extension,
    parse_output_format,
)

CREDENTIALS_SUFFIX = ".c2pa"
"""Ends the name of a file with the content credentials of an input, after the name of its result."""
_PARQUET_ROW_KEY = re.compile(r".*\.parquet/\d{8,}", re.IGNORECASE | re.DOTALL)


def is_parquet_row_key(key: str) -> bool:
    """Whether a key is the row number of a photo that has no name in its Parquet file."""
    return _PARQUET_ROW_KEY.fullmatch(key) is not None


def output_key_for(key: str, format_spec: str, photo: DecodedImage | None = None) -> str:
    """Return the name of a result; two different inputs get two different names.

    With the format `same` it is the input's own name. With another format, a name that has an extension of that format
    keeps it, other names get the format's extension appended (`a.tif.png`), and names without any photo extension get
    it twice (`a.png.png`). So only `a.png` can become `a.png`; a name like `a.tif.png`, which `a.tif` would get, is
    extended once more.

    Args:
        key: the input's name.
        format_spec: as for `imageio.encode`.
        photo: the input; without it a row without a name keeps its number if `format_spec` is `same`.
    """
    if is_parquet_row_key(key):
        return add_format_extension(key, format_spec, photo)
    output_format = parse_output_format(format_spec)
    if output_format is None:
        return key
    extensions, extension = output_format.extensions, _image_extension(key)
    if not extension:
        return key + 2 * extensions[0]
    is_unambiguous = extension in extensions and not _image_extension(key[: -len(extension)])
    return key if is_unambiguous else key + extensions[0]


def original_key_for(key: str, format_spec: str, photo: DecodedImage | None = None) -> str:
    """Return the name of a result that has the bytes of its input: the input's own name, if no result can have it.

    A result has an extension of the output format, so a name without one is free. A name with one gets what
    `output_key_for` gives, which has the same extension.

    Args:
        key: the input's name.
        format_spec: as for `imageio.encode`.
        photo: the input, as for `output_key_for`.
    """
    if is_parquet_row_key(key):
        return add_format_extension(key, SAME_FORMAT, photo)
    output_format = parse_output_format(format_spec)
    is_free = output_format is None or _image_extension(key) not in output_format.extensions
    return key if is_free else output_key_for(key, format_spec)


def _image_extension(name: str) -> str:
    """Return the photo extension that a name ends in, in lower case; empty if it ends in none."""
    return next((extension for extension in IMAGE_EXTENSIONS if name.lower().endswith(extension)), "")
