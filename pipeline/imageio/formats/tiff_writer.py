"""Writing the pages of a TIFF with their tags."""

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tifffile

from deepot.photo import Pixels
from pipeline.imageio.formats.tiff_directories import SUB_IFDS
from pipeline.imageio.formats.tiff_kept import KeptPage
from pipeline.imageio.metadata.ifd import EXIF_IFD, GPS_IFD, Ifd, Tag, directory_layout, read_ifd
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
    """Return a TIFF of pages, in the byte order of the first one's tags: a BigTIFF if a tag has values of 64 bits.

    Raises:
        ValueError: it would be larger than a classic TIFF can be.
    """
    contents = [page.content for page in _iter_all(pages)]
    sampled = [content for content in contents if not isinstance(content, KeptPage)]
    kept_bytes = sum(content.n_bytes for content in contents if isinstance(content, KeptPage))
    if sum(pixels.n_bytes for pixels, _ in sampled) + kept_bytes > _MAX_FILE_BYTES:
        raise ValueError("more than 4 GB of samples; a classic TIFF cannot hold them")
    order = sampled[0][1].tags.byte_order
    tags = [each.style.tags if isinstance(each, KeptPage) else each[1].tags for each in contents]
    tags += [each.layout for each in contents if isinstance(each, KeptPage)]
    is_bigtiff = any(each.needs_bigtiff for each in tags)
    sink = io.BytesIO()
    with tifffile.TiffWriter(sink, byteorder=order, bigtiff=is_bigtiff) as writer:
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
    _DirectoryWriter(sink, order, len(sampled), is_bigtiff=is_bigtiff).write(pages)
    return sink.getvalue()


def _iter_all(pages: Sequence[PageToWrite]) -> Iterator[PageToWrite]:
    """Yield pages, each followed by its subpages."""
    for page in pages:
        yield page
        yield from _iter_all(page.subpages)


class _DirectoryWriter:
    """Adds tags to a finished file: new directories are appended, which refer to the samples as the old ones do."""

    def __init__(self, file: io.BytesIO, order: str, count: int, *, is_bigtiff: bool) -> None:
        """Read the directories of the file, of which there are `count`."""
        self._file, self._order, self._is_bigtiff = file, order, is_bigtiff
        self._layout = directory_layout(is_bigtiff=is_bigtiff)
        self._finished = iter(self._read_finished(count))

    @property
    def _first_link(self) -> int:
        """Where the file's header has the offset of the first directory."""
        return 8 if self._is_bigtiff else 4

    def write(self, pages: Sequence[PageToWrite]) -> None:
        """Append the directories of pages in their order, with those of their subpages, and link them."""
        link = self._first_link
        for page in pages:
            start, n_entries = self._append(page)
            self._file.seek(link)
            self._file.write(struct.pack(self._order + self._layout.pointer, start))
            link = start + self._layout.link_offset(n_entries)

    def _read_finished(self, count: int) -> list[Ifd]:
        """Return the directories of the finished file in their order."""
        found, link = [], self._first_link
        with self._file.getbuffer() as view:
            for _ in range(count):
                (offset,) = struct.unpack_from(self._order + self._layout.pointer, view, link)
                found.append(read_ifd(view, offset, self._order, is_bigtiff=self._is_bigtiff))
                link = offset + self._layout.link_offset(len(found[-1].tags))
        return found

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
        self._file.write(bytes(start - end) + merged.to_bytes(start, is_bigtiff=self._is_bigtiff))
        return start, len(merged.tags) + len(merged.children)
