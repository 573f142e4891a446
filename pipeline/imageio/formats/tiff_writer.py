"""Writing the pages of a TIFF with their tags."""

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tifffile

from deepot.photo import Pixels
from pipeline.imageio.formats.tiff_directories import SUB_IFDS
from pipeline.imageio.formats.tiff_kept import KeptPage
from pipeline.imageio.metadata.ifd import ENTRY_BYTES, EXIF_IFD, GPS_IFD, Ifd, Tag, read_ifd
from pipeline.imageio.metadata.tiff_tags import PIXEL_LAYOUT_TAGS, RESOLUTION_TAGS, PageStyle
from pipeline.imageio.sample_arrays import interleave_alpha

_MAX_FILE_BYTES = 4 * 10**9  # the offsets in a classic TIFF have 32 bits


@dataclass(frozen=True)
class PageToWrite:
    """A page of a result.

    Attributes:
        content: its samples and how they are written, or a page that stays as it is.
        subpages: the pages of its subdirectories.
    """

    content: tuple[Pixels, PageStyle] | KeptPage
    subpages: tuple["PageToWrite", ...] = ()


def write_pages(pages: Sequence[PageToWrite]) -> bytes:
    """Return a classic TIFF of pages, in the byte order of the first one's tags.

    Raises:
        ValueError: it would be larger than a classic TIFF can be.
    """
    contents = [page.content for page in _iter_all(pages)]
    sampled = [content for content in contents if not isinstance(content, KeptPage)]
    kept_bytes = sum(content.n_bytes for content in contents if isinstance(content, KeptPage))
    if sum(pixels.samples.nbytes for pixels, _ in sampled) + kept_bytes > _MAX_FILE_BYTES:
        raise ValueError("more than 4 GB of samples; a classic TIFF cannot hold them")
    order = sampled[0][1].tags.byte_order
    sink = io.BytesIO()
    with tifffile.TiffWriter(sink, byteorder=order, bigtiff=False) as writer:
        for pixels, style in sampled:
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
    _DirectoryWriter(sink, order, len(sampled)).write(pages)
    return sink.getvalue()


def _iter_all(pages: Sequence[PageToWrite]) -> Iterator[PageToWrite]:
    """Yield pages, each followed by its subpages."""
    for page in pages:
        yield page
        yield from _iter_all(page.subpages)


class _DirectoryWriter:
    """Adds tags to a finished file: new directories are appended, which refer to the samples as the old ones do."""

    def __init__(self, file: io.BytesIO, order: str, count: int) -> None:
        """Read the directories of the file, of which there are `count`."""
        self._file, self._order = file, order
        self._finished = iter(_read_directories(file, order, count))

    def write(self, pages: Sequence[PageToWrite]) -> None:
        """Append the directories of pages in their order, with those of their subpages, and link them."""
        link = 4
        for page in pages:
            start, n_entries = self._append(page)
            self._file.seek(link)
            self._file.write(struct.pack(self._order + "I", start))
            link = start + 2 + ENTRY_BYTES * n_entries

    def _append(self, page: PageToWrite) -> tuple[int, int]:
        """Append the directory of a page, after those of its subpages; returns its offset and number of entries."""
        if isinstance(page.content, KeptPage):
            tags, layout = page.content.style.tags, page.content.append_to(self._file)
        else:
            tags, layout = page.content[1].tags, next(self._finished)
        kept = {code: tag for code, tag in tags.tags.items() if code not in PIXEL_LAYOUT_TAGS}
        plain = {code: tag for code, tag in layout.tags.items() if code not in RESOLUTION_TAGS}
        merged = Ifd(
            self._order,
            plain | kept,
            {code: tags.children[code] for code in (EXIF_IFD, GPS_IFD) if code in tags.children},
        )
        if offsets := [self._append(subpage)[0] for subpage in page.subpages]:
            merged.tags[SUB_IFDS] = Tag(4, len(offsets), struct.pack(f"{self._order}{len(offsets)}I", *offsets))
        end = self._file.seek(0, io.SEEK_END)
        start = end + end % 2
        self._file.write(bytes(start - end) + merged.to_bytes(start))
        return start, len(merged.tags) + len(merged.children)


def _read_directories(file: io.BytesIO, order: str, count: int) -> list[Ifd]:
    """Return the directories of a finished file in their order."""
    found, link = [], 4
    with file.getbuffer() as view:
        for _ in range(count):
            (offset,) = struct.unpack_from(order + "I", view, link)
            found.append(read_ifd(view, offset, order))
            link = offset + 2 + ENTRY_BYTES * len(found[-1].tags)
    return found
