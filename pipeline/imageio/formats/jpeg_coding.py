"""The coding options of a JPEG file: Pillow's options that write another one alike, and tables that are fine enough."""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from PIL import Image, JpegImagePlugin

_SUBSAMPLING_422, _SUBSAMPLING_420 = 1, 2  # Pillow's numbers
_ADOBE_TRANSFORM_YCCK = 2  # Adobe's number
_ALL_ONES_TABLE = [1] * 64
_LOWEST_QUALITY = 95
"""The quality whose steps replace coarser ones: those of a strongly compressed file would leave nothing of a change."""


def read_save_options(image: JpegImagePlugin.JpegImageFile) -> dict[str, Any]:
    """Return Pillow's options for the same tables, colour coding, subsampling and order of scans.

    Pillow writes 4:4:4, 4:2:2 and 4:2:0. The coarsest of them that discards nothing the file has is chosen: 4:4:4 for
    4:4:0, 4:2:2 for 4:1:1.
    """
    options: dict[str, Any] = {
        "qtables": _read_quantization_tables(image),
        "progressive": bool(image.info.get("progressive")),
    }
    if image.layers != 3:
        return options
    if is_rgb(image):
        return options | {"keep_rgb": True}
    (_, across, down, _), *colours = image.layer
    halved_across = min(across // part[1] for part in colours) >= 2
    halved_down = min(down // part[2] for part in colours) >= 2
    return options | {"subsampling": (_SUBSAMPLING_420 if halved_down else _SUBSAMPLING_422) if halved_across else 0}


def _read_quantization_tables(image: JpegImagePlugin.JpegImageFile) -> list[list[int]]:
    """Return the quantisation tables as Pillow takes them: one per component, the last one for all that follow.

    The channels of a YCCK file are written as CMYK, all of them with the table of the luma. A lossless file has no
    tables; it is written with the finest ones.
    """
    known = image.quantization
    if any(part[3] not in known for part in image.layer):
        return list(known.values()) or [_ALL_ONES_TABLE]
    tables = [list(known[part[3]]) for part in image.layer]
    if image.layers == 4 and image.info.get("adobe_transform") == _ADOBE_TRANSFORM_YCCK:
        return tables[:1]
    return _drop_repeated(tables)


def refine_options(options: Mapping[str, Any], n_components: int) -> dict[str, Any]:
    """Return Pillow's options for a result: those of `read_save_options`, finer where a change would be lost.

    Tables are refined by `refine_table`. Colours have full resolution: enlarging those of a file and averaging them
    again loses more of them each time than was ever added.
    """
    tables = options.get("qtables")
    if tables is None:
        return dict(options)
    is_ycc = n_components == 3 and not options.get("keep_rgb")
    of_components = [*tables, *[tables[-1]] * (n_components - len(tables))]
    fine = [refine_table(table, is_chroma=is_ycc and number > 0) for number, table in enumerate(of_components)]
    full_resolution = {"subsampling": 0} if "subsampling" in options else {}
    return {**options, "qtables": _drop_repeated(fine), **full_resolution}


def _drop_repeated(tables: list[list[int]]) -> list[list[int]]:
    """Return tables without the last ones that equal the one before them, which stands for all that follow."""
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables = tables[:-1]
    return tables


def refine_table(table: Sequence[int], *, is_chroma: bool) -> list[int]:
    """Return a quantisation table of 64 steps, none of which is coarser than that of quality 95."""
    return [min(pair) for pair in zip(table, _fine_tables()[is_chroma], strict=True)]


@cache
def _fine_tables() -> tuple[Sequence[int], Sequence[int]]:
    """Return the tables of luma and of chroma for the lowest quality, as Pillow gives them."""
    with io.BytesIO() as file:
        Image.new("YCbCr", (8, 8)).save(file, "JPEG", quality=_LOWEST_QUALITY)
        file.seek(0)
        tables = JpegImagePlugin.JpegImageFile(file).quantization
    return tables[0], tables[1]


def is_rgb(image: JpegImagePlugin.JpegImageFile) -> bool:
    """Whether the three components of a file are red, green and blue, by the rules of libjpeg."""
    if "jfif" in image.info:
        return False
    transform = image.info.get("adobe_transform")
    return transform == 0 if transform is not None else [part[0] for part in image.layer] == list(b"RGB")
