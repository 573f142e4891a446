"""Raw photos of cameras, which are TIFF files too: their pages are previews, or samples that are not a picture yet."""

import struct
from collections.abc import Iterator
from typing import Any

from pipeline.imageio.metadata.ifd import Ifd, read_ifd

_REDUCED_IMAGE = 1  # bit of NewSubfileType
_NEW_SUBFILE_TYPE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _MAKE, _SUB_IFDS, _DNG_VERSION = 254, 256, 257, 262, 271, 330, 50706
_RAW_PHOTOMETRICS = (32803, 34892)  # colour filter array, linear raw: of DNG, and of the raw files of most cameras
_CR2_MARK = b"CR"  # of Canon, after the header
_MAX_DIRECTORIES = 64  # a raw photo has a handful
_INTEGER_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I"}  # by field type


def describe_raw(data: bytes, file: Any) -> str | None:  # noqa: ANN401 — tifffile's types say Any
    """Return what kind of raw photo a file is; None if its pages are photos.

    A file is one if some directory has the samples of a sensor, or if its first page is a preview of a larger image in
    a subdirectory, which is how cameras store them.

    Args:
        data: the file.
        file: the same, opened by tifffile.
    """
    first = read_ifd(data, file.pages[0].offset, file.byteorder, is_bigtiff=file.is_bigtiff)
    is_raw = data[8:10] == _CR2_MARK or any(
        _first_integer(directory, _PHOTOMETRIC) in _RAW_PHOTOMETRICS for directory in _iter_directories(data, file)
    )
    if not is_raw and not _is_preview(data, file, first):
        return None
    if _DNG_VERSION in first.tags:
        return "DNG"
    make = first.tags[_MAKE].data.partition(b"\0")[0].decode("ascii", "replace").strip() if _MAKE in first.tags else ""
    return f"of a camera by {make}" if make.isprintable() and make else "of a camera"


def _is_preview(data: bytes, file: Any, first: Ifd) -> bool:  # noqa: ANN401
    """Whether the first page is a reduced image of a larger one in its subdirectories."""
    if not (_first_integer(first, _NEW_SUBFILE_TYPE) or 0) & _REDUCED_IMAGE:
        return False
    return any(
        not (_first_integer(directory, _NEW_SUBFILE_TYPE) or 0) & _REDUCED_IMAGE and _area(directory) > _area(first)
        for directory in _iter_sub_ifds(data, file, first)
    )


def _iter_directories(data: bytes, file: Any) -> Iterator[Ifd]:  # noqa: ANN401
    """Yield the directories of the pages and their subdirectories, the first few of each."""
    for number, page in enumerate(file.pages):
        if number == _MAX_DIRECTORIES:
            return
        directory = read_ifd(data, page.offset, file.byteorder, is_bigtiff=file.is_bigtiff)
        yield directory
        yield from _iter_sub_ifds(data, file, directory)


def _iter_sub_ifds(data: bytes, file: Any, directory: Ifd) -> Iterator[Ifd]:  # noqa: ANN401
    for offset in _integers(directory, _SUB_IFDS)[:_MAX_DIRECTORIES]:
        yield read_ifd(data, offset, file.byteorder, is_bigtiff=file.is_bigtiff)


def _area(directory: Ifd) -> int:
    return (_first_integer(directory, _WIDTH) or 0) * (_first_integer(directory, _HEIGHT) or 0)


def _first_integer(directory: Ifd, code: int) -> int | None:
    return next(iter(_integers(directory, code)), None)


def _integers(directory: Ifd, code: int) -> tuple[int, ...]:
    """Return the values of a tag of integers; none if it is missing or of another type."""
    tag = directory.tags.get(code)
    if tag is None or tag.field_type not in _INTEGER_FORMATS:
        return ()
    kind = _INTEGER_FORMATS[tag.field_type]
    count = min(tag.count, len(tag.data) // struct.calcsize(kind))
    return struct.unpack_from(f"{directory.byte_order}{count}{kind}", tag.data)
