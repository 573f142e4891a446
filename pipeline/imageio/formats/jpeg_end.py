"""JPEGs without their end mark: whether all pixels are there, or the scan is cut short."""

import io

import numpy as np
from PIL import Image

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats import jpeg_mpf

_END_MARK = b"\xff\xd9"
_OTHER_BITS = b"\xaa\x55\xe3" * 64  # the decoder's own filling are zeros


def complete_end(data: bytes) -> bytes:
    """Return a JPEG with the end mark that it lacks, or as it is if it has one.

    A decoder does not report whether it had bits for every block: it fills what is missing. Therefore the file is
    decoded twice, with different bits appended, which change the picture only where the file has too few of its own.

    Raises:
        ImageError: the scan is cut short.
    """
    if jpeg_mpf.has_end_mark(data):
        return data
    stored = data.rstrip(b"\0").removesuffix(b"\xff")  # interrupted copies may be filled with zeros
    try:
        one, other = (np.asarray(_decode(stored + filling + _END_MARK)) for filling in (b"", _OTHER_BITS))
    except OSError:
        return data  # damaged before its end: the caller finds out
    different_rows = (one != other).reshape(len(one), -1).any(axis=1)
    if different_rows.any():
        raise ImageError(
            ErrorCode.DAMAGED,
            f"it is cut short: {int(different_rows.argmax())} of {len(one)} rows are there; restore it from a backup",
        )
    return stored + _END_MARK


def _decode(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        image.load()
        return image
