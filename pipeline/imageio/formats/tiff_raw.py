"""Raw photos of cameras, which are TIFF files too: their pages are previews, or samples that are not a picture yet."""

from collections.abc import Sequence

from pipeline.imageio.formats.tiff_directories import (
    NEW_SUBFILE_TYPE,
    PHOTOMETRIC,
    Directory,
    first_integer,
    iter_all,
)

_REDUCED_IMAGE = 1  # bit of NewSubfileType
_MAKE, _DNG_VERSION = 271, 50706
_RAW_PHOTOMETRICS = (32803, 34892)  # colour filter array, linear raw: of DNG, and of the raw files of most cameras
_CR2_MARK = b"CR"  # of Canon, after the header


def describe_raw(data: bytes, directories: Sequence[Directory]) -> str | None:
    """Return what kind of raw photo a file is; None if its pages are photos.

    A file is one if some directory has the samples of a sensor, or if its first page is a preview of a larger image in
    a subdirectory, which is how cameras store them.

    Args:
        data: the file.
        directories: of its pages.
    """
    if not directories:
        return None
    is_raw = data[8:10] == _CR2_MARK or any(
        first_integer(directory.tags, PHOTOMETRIC) in _RAW_PHOTOMETRICS for directory in iter_all(directories)
    )
    first = directories[0]
    if not is_raw and not _is_preview(first):
        return None
    tags = first.tags.tags
    if _DNG_VERSION in tags:
        return "DNG"
    make = tags[_MAKE].data.partition(b"\0")[0].decode("ascii", "replace").strip() if _MAKE in tags else ""
    return f"of a camera by {make}" if make.isprintable() and make else "of a camera"


def _is_preview(first: Directory) -> bool:
    """Whether the first page is a reduced image of a larger one in its subdirectories."""
    if not (first_integer(first.tags, NEW_SUBFILE_TYPE) or 0) & _REDUCED_IMAGE:
        return False
    return any(
        not (first_integer(each.tags, NEW_SUBFILE_TYPE) or 0) & _REDUCED_IMAGE
        and each.width * each.height > first.width * first.height
        for each in first.subdirectories
    )
