"""Pages of a TIFF that stay as they are (masks, infrared, depth): their encoded samples are copied, not decoded."""

import io
import struct
from dataclasses import dataclass, replace

from deepot.errors import UnsupportedImageError
from pipeline.imageio.formats.tiff_directories import (
    COMPRESSION,
    PAGE_NAME,
    SUB_IFDS,
    Directory,
    first_integer,
    read_integers,
)
from pipeline.imageio.metadata.ifd import Ifd, Tag
from pipeline.imageio.metadata.metadata import MetadataPolicy
from pipeline.imageio.metadata.tiff_tags import CREDENTIALS_TAG, PIXEL_LAYOUT_TAGS, PageStyle

_STRIPS, _TILES = (273, 279), (324, 325)  # offsets and byte counts
_PHOTOSHOP_LAYERS = 37724
_NOT_COPIED = frozenset((*_STRIPS, *_TILES, SUB_IFDS, 288, 289, *range(512, 522), _PHOTOSHOP_LAYERS, CREDENTIALS_TAG))
"""Tags with offsets into the file, Photoshop's layers, and content credentials."""
_OLD_JPEG = 6  # refers to the file by several tags


@dataclass(frozen=True)
class KeptPage:
    """A page that stays as it is.

    Attributes:
        description: what it is, for messages.
        style: its tags, but those of `layout`.
        layout: the tags that state how the samples are stored.
        segments: the encoded strips or tiles; an empty one is missing in the file, which some formats permit.
        tiled: whether they are tiles.
    """

    description: str
    style: PageStyle
    layout: Ifd
    segments: tuple[bytes, ...]
    tiled: bool

    @property
    def n_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(map(len, self.segments))

    def apply_policy(self, policy: MetadataPolicy) -> "KeptPage":
        """Return the page with the tags that a policy keeps; its name always stays, as some are recognised by it."""
        style = self.style.apply_policy(policy)
        if name := self.style.tags.tags.get(PAGE_NAME):
            style.tags.tags[PAGE_NAME] = name
        return replace(self, style=style)

    def append_to(self, file: io.BytesIO) -> Ifd:
        """Append the segments to a file; returns the tags that state where they are and how they are stored."""
        offsets = []
        for segment in self.segments:
            end = file.seek(0, io.SEEK_END)
            file.write(bytes(end % 2))
            offsets.append(end + end % 2 if segment else 0)
            file.write(segment)
        order, codes = self.layout.byte_order, _TILES if self.tiled else _STRIPS
        tags = dict(self.layout.tags)
        for code, values in zip(codes, (offsets, [len(segment) for segment in self.segments]), strict=True):
            tags[code] = Tag(4, len(values), struct.pack(f"{order}{len(values)}I", *values))
        return Ifd(order, tags)


class SegmentReader:
    """Reads the pages of a file that stay as they are, together no more bytes than the file has."""

    def __init__(self, data: bytes) -> None:
        self._data, self._bytes_left = data, len(data)

    def read(self, directory: Directory, description: str) -> KeptPage:
        """Return a page.

        Args:
            directory: its tags.
            description: what it is, for messages.

        Raises:
            UnsupportedImageError: it is coded in a way that cannot be copied.
            ValueError: its samples are not in the file.
        """
        tags = directory.tags
        if first_integer(tags, COMPRESSION) == _OLD_JPEG:
            raise UnsupportedImageError(
                "unsupported_format",
                f"it has a page ({description}) in old-style JPEG, which cannot be copied; save it with LZW or deflate",
            )
        tiled = _TILES[0] in tags.tags
        offsets, counts = (read_integers(tags, code) for code in (_TILES if tiled else _STRIPS))
        if not offsets or len(offsets) != len(counts):
            raise ValueError(
                f"a page ({description}) has {len(offsets)} strips or tiles and {len(counts)} sizes of them"
            )
        segments = tuple(self._read_segment(*pair, description) for pair in zip(offsets, counts, strict=True))
        layout = {code: tag for code, tag in tags.tags.items() if code in PIXEL_LAYOUT_TAGS - _NOT_COPIED}
        style = PageStyle(tags.without_tags(PIXEL_LAYOUT_TAGS))
        return KeptPage(description, style, Ifd(tags.byte_order, layout), segments, tiled)

    def _read_segment(self, offset: int, count: int, description: str) -> bytes:
        self._bytes_left -= count
        if offset + count > len(self._data) or self._bytes_left < 0:
            raise ValueError(f"a page ({description}) has samples that are not in the file")
        return self._data[offset : offset + count]
