"""The table of docs/photos.md, made of what the corpus gives: python -m tests.support.photos_table writes it anew."""

from pathlib import Path

import numpy as np

from pipeline.imageio.image_file import decode, encode
from tests.support.image_corpus import PHOTO_KINDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "photos.md"
BEGIN, END = "<!-- table: python -m tests.support.photos_table -->\n", "<!-- end of table -->\n"
FORMAT_NAMES = {"JPEG2000": "JPEG 2000", "WEBP": "WebP", "HEIF": "HEIF", "JXL": "JPEG XL"}
METADATA_ORDER = (
    *("icc", "exif", "xmp", "iptc", "dpi", "comment", "segments", "appended", "text", "alpha", "pages", "other_pages"),
)
METADATA_LABELS = {
    "icc": "profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "iptc": "IPTC",
    "dpi": "resolution",
    "segments": "camera data",
    "appended": "gain map",
    "other_pages": "other pages",
}


def format_table():
    lines = [
        "| goes in | samples | comes out | pixels at α = 1 | besides, the test file carried and kept |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *map(_format_row, PHOTO_KINDS)]) + "\n"


def _format_row(kind):
    before = decode(kind.make(), 10**9)
    after = decode(encode(before, before.pages, "same", "keep"), 10**9)
    exact = all(np.array_equal(a.samples, b.samples) for a, b in zip(before.pages, after.pages, strict=True))
    format_name = FORMAT_NAMES.get(before.properties["format"], before.properties["format"]) + (
        f" ({kind.note})" if kind.note else ""
    )
    kept = [METADATA_LABELS.get(name, name) for name in METADATA_ORDER if name in kind.keeps]
    # whether a lossy codec happens to give the same pixels back is luck: only what the corpus promises is said
    same = "the same" if kind.lossless and exact else "compressed again"
    cells = (format_name, _describe_samples(before), _describe_samples(after), same, ", ".join(kept) or "–")
    return f"| {' | '.join(cells)} |"


def _describe_samples(image):
    mode = {
        "P": "palette",
        "1": "bilevel",
        "L": "grey",
        "LA": "grey + alpha",
        "I;16": "grey",
        "CMYKA": "CMYK + alpha",
    }.get(image.properties["mode"], image.properties["mode"])
    return f"{image.properties['bit_depth']}-bit {mode}" if mode not in ("palette", "bilevel") else mode


def main():
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    PAGE.write_text(head + BEGIN + format_table() + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
