"""TIFF writing: pages as a file, with their tags."""

import io
import struct
from collections.abc import Sequence

import numpy as np
import tifffile

from deepot.photo import Pixels
from pipeline.imageio.metadata.ifd import EXIF_IFD, GPS_IFD, Ifd, read_ifd
from pipeline.imageio.metadata.tiff_tags import PIXEL_LAYOUT_TAGS, RESOLUTION_TAGS, PageStyle

_MAX_FILE_BYTES = 4 * 10**9  # a classic TIFF counts its bytes in 32 bits


def write_pages(pages: Sequence[tuple[Pixels, PageStyle]]) -> bytes:
    """A classic TIFF of these pages, in the byte order of the first one's tags.

    Raises:
        ValueError: it would be larger than a TIFF can be.
    """
    if sum(pixels.samples.nbytes for pixels, _ in pages) > _MAX_FILE_BYTES:
        raise ValueError("more than 4 GB of samples; a TIFF cannot hold that")
    order = pages[0][1].tags.byte_order
    sink = io.BytesIO()
    with tifffile.TiffWriter(sink, byteorder=order, bigtiff=False) as writer:
        for pixels, style in pages:
            channels = pixels.samples.shape[2]
            array = pixels.samples if pixels.alpha is None else np.dstack([pixels.samples, pixels.alpha])
            writer.write(
                array[:, :, 0] if array.shape[2] == 1 else array,
                photometric={1: "minisblack", 3: "rgb", 4: "separated"}[channels],
                planarconfig=None if array.shape[2] == 1 else "contig",
                extrasamples=None if pixels.alpha is None else ["unassalpha"],
                metadata=None,
                software=False,
                contiguous=False,
                **style.options,
            )
    _add_tags(sink, [style.tags for _, style in pages])
    return sink.getvalue()


def _add_tags(file: io.BytesIO, pages: Sequence[Ifd]) -> None:
    """Give a finished file more tags: its directories are written anew behind it, those of the pixels as they are."""
    order = pages[0].byte_order
    own = _read_directories(file, order, len(pages))
    link = 4
    for tags, written in zip(pages, own, strict=True):
        kept = {code: tag for code, tag in tags.tags.items() if code not in PIXEL_LAYOUT_TAGS}
        plain = {code: tag for code, tag in written.tags.items() if code not in RESOLUTION_TAGS}
        merged = Ifd(
            order, plain | kept, {code: tags.children[code] for code in (EXIF_IFD, GPS_IFD) if code in tags.children}
        )
        end = file.seek(0, io.SEEK_END)
        start = end + end % 2
        file.write(bytes(start - end) + merged.to_bytes(start))
        file.seek(link)
        file.write(struct.pack(order + "I", start))
        link = start + 2 + 12 * (len(merged.tags) + len(merged.children))


def _read_directories(file: io.BytesIO, order: str, count: int) -> list[Ifd]:
    """The directories of a finished file, one after the other."""
    found, link = [], 4
    with file.getbuffer() as view:
        for _ in range(count):
            (offset,) = struct.unpack_from(order + "I", view, link)
            found.append(read_ifd(view, offset, order))
            link = offset + 2 + 12 * len(found[-1].tags)
    return found
