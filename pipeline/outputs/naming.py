"""Naming: the names under which results mirror their inputs; no two inputs meet in one."""

import re
from functools import lru_cache

from pipeline.imageio.extensions import IMAGE_SUFFIXES, SUFFIXES
from pipeline.imageio.image_file import Photo, output_key
from pipeline.imageio.output_formats import load_target

_ROW = re.compile(r".*\.parquet/\d{8,}", re.IGNORECASE | re.DOTALL)
_TARGET = lru_cache(load_target)


def is_row(key: str) -> bool:
    """Whether a key is the number of a row of a Parquet file whose photo has no name there."""
    return _ROW.fullmatch(key) is not None


def mirror_key(key: str, form: str, photo: Photo | None = None) -> str:
    """The name of a result where results mirror their inputs: two different inputs have two different ones.

    With `same` it is the input's own. With a format, one that has that format's suffix keeps its name, the format's
    suffix is put behind others (`a.tif.png`), and twice behind names that have none of a photo (`a.png.png`). So
    `a.png` can only come from `a.png`; a name like `a.tif.png`, which could come from `a.tif`, gets one more.

    Args:
        key: the input's name.
        form: as for `encode`.
        photo: the input; without it a row without a name keeps its number where `form` is `same`.
    """
    if is_row(key):
        return output_key(key, form, photo)
    target = _TARGET(form)
    if target is None:
        return key
    own, suffix = SUFFIXES[target.kind], _suffix(key)
    if not suffix:
        return key + 2 * own[0]
    keeps = suffix in own and not _suffix(key[: -len(suffix)])
    return key if keeps else key + own[0]


def _suffix(name: str) -> str:
    """The suffix of a photo that a name ends in, in lower case; empty if it ends in none."""
    return next((suffix for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), "")
