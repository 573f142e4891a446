"""How all pages of a TIFF are written: photos, reduced images of them, and pages that stay as they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.imageio.formats.tiff_kept import KeptPage
from pipeline.imageio.formats.tiff_reduced import ReducedPage


@dataclass(frozen=True)
class PageLayout:
    """A page of a file.

    Attributes:
        content: the index of a photo, how it is made from one, or what it is.
        subpages: those in its subdirectories.
    """

    content: int | ReducedPage | KeptPage
    subpages: tuple["PageLayout", ...] = ()


def iter_layout(pages: Sequence[PageLayout]) -> Iterator[PageLayout]:
    """Yield pages, each followed by its subpages."""
    for page in pages:
        yield page
        yield from iter_layout(page.subpages)
