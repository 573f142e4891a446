"""Writing the pages of a TIFF with their tags."""

import io
import struct
from collections.abc import Sequence

import tifffile

from deepot.photo import Pixels
from pipeline.imageio.metadata.ifd import EXIF_IFD, GPS_IFD, Ifd, read_ifd
from pipeline.imageio.metadata.tiff_tags import PIXEL_LAYOUT_TAGS, RESOLUTION_TAGS, PageStyle
from pipeline.imageio.sample_arrays import interleave_alpha

_MAX_FILE_BYTES = 4 * 10**9  # the offsets in a classic TIFF have 32 bits


def write_pages(pages: Sequence[tuple[Pixels, PageStyle]]) -> bytes:
    """Return a classic TIFF of pages, in the byte order of the first one's tags.

    Raises:
        ValueError: it would be larger than a classic TIFF can be.
    """
    if sum(pixels.samples.nbytes for pixels, _ in pages) > _MAX_FILE_BYTES:
        raise ValueError("more than 4 GB of samples; a classic TIFF cannot hold them")
    order = pages[0][1].tags.byte_order
    sink = io.BytesIO()
    with tifffile.TiffWriter(sink, byteorder=order, bigtiff=False) as writer:
        for pixels, style in pages:
            channels = pixels.samples.shape[2]
            array = interleave_alpha(pixels)
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
    """Add tags to a finished file: new directories are appended, which refer to the pixels as the old ones do."""
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
    """Return the directories of a finished file in their order."""
    found, link = [], 4
    with file.getbuffer() as view:
        for _ in range(count):
            (offset,) = struct.unpack_from(order + "I", view, link)
            found.append(read_ifd(view, offset, order))
            link = offset + 2 + 12 * len(found[-1].tags)
    return found
