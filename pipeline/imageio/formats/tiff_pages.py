"""What the pages of a TIFF are: photos, reduced images of them, or masks and other data that are no photos."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from deepot.errors import UnsupportedImageError
from pipeline.imageio.formats.tiff_directories import (
    NEW_SUBFILE_TYPE,
    OLD_SUBFILE_TYPE,
    PAGE_NAME,
    PHOTOMETRIC,
    Directory,
    first_integer,
)
from pipeline.imageio.formats.tiff_reduced import find_reorientation

_IMAGE_DEPTH, _TILE_DEPTH = 32997, 32998
_REDUCED_BIT, _MASK_BIT, _DEPTH_BIT = 1, 4, 8  # of NewSubfileType; the last is that of DNG
_OLD_REDUCED = 2  # SubfileType
_MASK_PHOTOMETRIC, _DEPTH_PHOTOMETRIC = 4, 51177
_GREY_PHOTOMETRICS = (0, 1)


class PageKind(StrEnum):
    """What a page is.

    PHOTO: is restored.
    REDUCED: a smaller image of a photo, made anew from the result.
    The others stay as they are.
    """

    PHOTO = "photo"
    REDUCED = "reduced"
    MASK = "transparency mask"
    INFRARED = "infrared"
    DEPTH_MAP = "depth map"
    VOLUME = "depth volume"
    OTHER = "other image"


_NAMED_KINDS = (
    (PageKind.INFRARED, re.compile(rb"infra-?\s?red|\bir\b", re.IGNORECASE)),
    (PageKind.DEPTH_MAP, re.compile(rb"\bdepth\b", re.IGNORECASE)),
    (PageKind.MASK, re.compile(rb"\b(?:alpha|mask)\b", re.IGNORECASE)),
)
"""What PageName calls a grey page that accompanies the colour photo before it."""


@dataclass(frozen=True)
class PageNode:
    """A page, and what it is.

    Attributes:
        directory: its tags.
        number: its place in the chain of pages, from 0; None for a subdirectory.
        kind: what it is.
        photo: for a photo its index among the photos, for a reduced image that of the photo it shows; otherwise None.
        reorientation: of a reduced image: see `find_reorientation`.
        subpages: what its subdirectories hold.
    """

    directory: Directory
    number: int | None
    kind: PageKind
    photo: int | None = None
    reorientation: tuple[int, ...] = ()
    subpages: tuple["PageNode", ...] = ()


def classify_pages(directories: Sequence[Directory]) -> list[PageNode]:
    """Return what each page of a file is.

    A file whose pages are all marked as reduced, or as that and masks, has one photo: the largest reduced image.

    Args:
        directories: of the pages, in their order.

    Raises:
        UnsupportedImageError: no page is a photo.
    """
    kinds = [_kind_of(each, before) for before, each in zip((None, *directories), directories, strict=False)]
    if PageKind.PHOTO not in kinds and PageKind.REDUCED in kinds:
        reduced = [number for number, kind in enumerate(kinds) if kind is PageKind.REDUCED]
        kinds[max(reduced, key=lambda number: _area(directories[number]))] = PageKind.PHOTO
    photos = [number for number, kind in enumerate(kinds) if kind is PageKind.PHOTO]
    if directories and not photos:
        raise UnsupportedImageError("unsupported_mode", _describe_pages_without_photo(kinds))
    nodes, latest = [], 0
    for number, (directory, kind) in enumerate(zip(directories, kinds, strict=True)):
        if kind is PageKind.PHOTO:
            latest = photos.index(number)
        nodes.append(_make_node(directory, number, kind, latest, directories[photos[latest]]))
    return nodes


def iter_nodes(nodes: Sequence[PageNode]) -> Iterator[PageNode]:
    """Yield pages, each followed by its subpages."""
    for node in nodes:
        yield node
        yield from iter_nodes(node.subpages)


def describe_other_pages(nodes: Sequence[PageNode]) -> str | None:
    """Return how many pages of each kind are no photos, e.g. `2 reduced, 1 transparency mask`; None if all are."""
    kinds = [node.kind for node in iter_nodes(nodes)]
    counts = [f"{kinds.count(kind)} {kind}" for kind in PageKind if kind is not PageKind.PHOTO and kind in kinds]
    return ", ".join(counts) or None


def _kind_of(directory: Directory, before: Directory | None) -> PageKind:
    """Return what a page is by its tags; `before` is the page before it."""
    tags = directory.tags
    subfile, photometric = first_integer(tags, NEW_SUBFILE_TYPE) or 0, first_integer(tags, PHOTOMETRIC)
    if max(first_integer(tags, _IMAGE_DEPTH) or 1, first_integer(tags, _TILE_DEPTH) or 1) > 1:
        return PageKind.VOLUME
    if subfile & _MASK_BIT or photometric == _MASK_PHOTOMETRIC:
        return PageKind.MASK
    if subfile & _DEPTH_BIT or photometric == _DEPTH_PHOTOMETRIC:
        return PageKind.DEPTH_MAP
    if subfile & _REDUCED_BIT or first_integer(tags, OLD_SUBFILE_TYPE) == _OLD_REDUCED:
        return PageKind.REDUCED
    name = tags.tags[PAGE_NAME].data if PAGE_NAME in tags.tags else b""
    if name and photometric in _GREY_PHOTOMETRICS and before is not None and _accompanies(directory, before):
        return next((kind for kind, pattern in _NAMED_KINDS if pattern.search(name)), PageKind.PHOTO)
    return PageKind.PHOTO


def _accompanies(directory: Directory, before: Directory) -> bool:
    """Whether a page has the size of the colour page before it."""
    sizes = {(each.width, each.height) for each in (directory, before)}
    return len(sizes) == 1 and first_integer(before.tags, PHOTOMETRIC) not in _GREY_PHOTOMETRICS


def _make_node(
    directory: Directory, number: int | None, kind: PageKind, index: int, photo: Directory | None
) -> PageNode:
    """Return a page with its subpages.

    Args:
        directory: its tags.
        number: its place in the chain of pages; None for a subdirectory.
        kind: what it is by its tags.
        index: that of the photo it belongs to, or is.
        photo: the directory of that photo; None if it belongs to something that stays as it is.
    """
    reorientation: tuple[int, ...] | None = ()
    if kind is PageKind.REDUCED or (kind is PageKind.PHOTO and number is None):
        is_likely = photo is not None and (kind is PageKind.REDUCED or _is_unmarked_level(directory, photo))
        reorientation = find_reorientation(directory, photo) if photo is not None and is_likely else None
        kind = PageKind.REDUCED if reorientation is not None else PageKind.OTHER
    shown = photo if kind in (PageKind.PHOTO, PageKind.REDUCED) else None
    subpages = tuple(_make_node(each, None, _kind_of(each, None), index, shown) for each in directory.subdirectories)
    return PageNode(directory, number, kind, None if shown is None else index, reorientation or (), subpages)


def _is_unmarked_level(directory: Directory, photo: Directory) -> bool:
    """Whether a subdirectory is smaller than a photo and grey or colour as that is: some pyramids have no marks."""
    are_grey = {first_integer(each.tags, PHOTOMETRIC) in _GREY_PHOTOMETRICS for each in (directory, photo)}
    return _area(directory) < _area(photo) and len(are_grey) == 1


def _describe_pages_without_photo(kinds: Sequence[PageKind]) -> str:
    """Return the message for a file without any photo."""
    if len(kinds) == 1:
        return f"its only page is no photo but a {kinds[0]}; choose the file that has the photo, or save it as one page"
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in PageKind if kind in kinds)
    return f"none of its {len(kinds)} pages is a photo ({counts}); choose the file that has the photo"


def _area(directory: Directory) -> int:
    return directory.width * directory.height
