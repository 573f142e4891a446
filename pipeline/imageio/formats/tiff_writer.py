"""TIFF writing: pages as a file, with their tags."""

import io
import struct
from collections.abc import Sequence

import numpy as np
import tifffile

from deepot.photo.pixels import Pixels
from pipeline.imageio.metadata.ifd import EXIF, GPS, Ifd, read_ifd
from pipeline.imageio.metadata.tiff_tags import OF_PIXELS, RESOLUTION, Style

_MOST_BYTES = 4 * 10**9  # a classic TIFF counts its bytes in 32 bits


def write_pages(pages: Sequence[tuple[Pixels, Style]]) -> bytes:
    """A classic TIFF of these pages, in the byte order of the first one's tags.

    Raises:
        ValueError: it would be larger than a TIFF can be.
    """
    if sum(pixels.samples.nbytes for pixels, _ in pages) > _MOST_BYTES:
        raise ValueError("more than 4 GB of samples; a TIFF cannot hold that")
    order = pages[0][1].tags.order
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
    order = pages[0].order
    own = _directories(file, order, len(pages))
    link = 4
    for tags, found in zip(pages, own, strict=True):
        kept = {code: tag for code, tag in tags.tags.items() if code not in OF_PIXELS}
        plain = {code: tag for code, tag in found.tags.items() if code not in RESOLUTION}
        merged = Ifd(order, plain | kept, {code: tags.children[code] for code in (EXIF, GPS) if code in tags.children})
        end = file.seek(0, io.SEEK_END)
        start = end + end % 2
        file.write(bytes(start - end) + merged.dump(start))
        file.seek(link)
        file.write(struct.pack(order + "I", start))
        link = start + 2 + 12 * (len(merged.tags) + len(merged.children))


def _directories(file: io.BytesIO, order: str, count: int) -> list[Ifd]:
    """The directories of a finished file, one after the other."""
    found, link = [], 4
    with file.getbuffer() as view:
        for _ in range(count):
            (offset,) = struct.unpack_from(order + "I", view, link)
            found.append(read_ifd(view, offset, order))
            link = offset + 2 + 12 * len(found[-1].tags)
    return found
