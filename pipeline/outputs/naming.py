"""Naming: the names under which results mirror their inputs; no two inputs meet in one."""

import re

from pipeline.imageio import IMAGE_EXTENSIONS, DecodedImage, add_format_extension, parse_output_format

_PARQUET_ROW_KEY = re.compile(r".*\.parquet/\d{8,}", re.IGNORECASE | re.DOTALL)


def is_parquet_row_key(key: str) -> bool:
    """Whether a key is the number of a row of a Parquet file whose photo has no name there."""
    return _PARQUET_ROW_KEY.fullmatch(key) is not None


def output_key_for(key: str, format_spec: str, photo: DecodedImage | None = None) -> str:
    """The name of a result where results mirror their inputs: two different inputs have two different ones.

    With `same` it is the input's own. With a format, one that has that format's suffix keeps its name, the format's
    suffix is put behind others (`a.tif.png`), and twice behind names that have none of a photo (`a.png.png`). So
    `a.png` can only come from `a.png`; a name like `a.tif.png`, which could come from `a.tif`, gets one more.

    Args:
        key: the input's name.
        format_spec: as for `encode`.
        photo: the input; without it a row without a name keeps its number where `format_spec` is `same`.
    """
    if is_parquet_row_key(key):
        return add_format_extension(key, format_spec, photo)
    output_format = parse_output_format(format_spec)
    if output_format is None:
        return key
    suffixes, suffix = output_format.extensions, _image_suffix(key)
    if not suffix:
        return key + 2 * suffixes[0]
    keeps = suffix in suffixes and not _image_suffix(key[: -len(suffix)])
    return key if keeps else key + suffixes[0]


def _image_suffix(name: str) -> str:
    """The suffix of a photo that a name ends in, in lower case; empty if it ends in none."""
    return next((suffix for suffix in IMAGE_EXTENSIONS if name.lower().endswith(suffix)), "")
