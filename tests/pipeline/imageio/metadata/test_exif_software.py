"""The tag Software is set in EXIF blocks, and all that they contain besides stays where it is."""

import io
import struct

import pytest
from PIL import Image

from pipeline.imageio.metadata.exif_software import SOFTWARE, with_software
from pipeline.imageio.metadata.ifd import EXIF_IFD, GPS_IFD, Ifd, Tag, parse_exif_block, read_ifd

MAKER_NOTE = 0x927C


def exif_block(order, tags=()):
    def text(value):
        return Tag(2, len(value), value)

    note = Ifd(order, {MAKER_NOTE: Tag(7, 40, bytes(range(40)))})
    gps = Ifd(order, {1: text(b"N\0")})
    main = {0x010F: text(b"Maker of cameras\0"), 0x0112: Tag(3, 1, struct.pack(order + "H", 6)), 0x013B: text(b"A\0")}
    return Ifd(order, main | dict(tags), {EXIF_IFD: note, GPS_IFD: gps}).to_exif_block()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("old", [None, b"1.0\0", b"a very long name of an older program\0"])
@pytest.mark.parametrize("text", ["deepot 0.1.0", "d", "deepot 0.1.0-odd"])
def test_with_software_sets_it_and_moves_nothing(order, old, text):
    block = exif_block(order, {SOFTWARE: Tag(2, len(old), old)} if old else ())
    marked = with_software(block, text)
    assert marked[:4] == block[:4] and marked[8 : len(block)] == block[8:], "all bytes but the offset of the directory"
    before, after = parse_exif_block(block), parse_exif_block(marked)
    assert after.tags == before.tags | {SOFTWARE: Tag(2, len(text) + 1, text.encode() + b"\0")}
    assert after.children == before.children
    assert list(after.tags) == sorted(after.tags)
    shown = Image.Exif()
    shown.load(b"Exif\0\0" + marked)
    assert shown[SOFTWARE] == text and shown[0x0112] == 6
    assert with_software(block, text) == marked


def test_with_software_keeps_the_thumbnail():
    directory = Ifd("<", {0x0112: Tag(3, 1, b"\1\0")}).to_bytes(8, next_offset=26)
    thumbnail = Ifd("<", {0x0201: Tag(4, 1, struct.pack("<I", 60))}).to_bytes(26)
    block = struct.pack("<2sHI", b"II", 42, 8) + directory + thumbnail + b"thumbnail"
    marked = with_software(block, "deepot 0.1.0")
    (start,) = struct.unpack_from("<I", marked, 4)
    (count,) = struct.unpack_from("<H", marked, start)
    assert (start, count) == (len(block) + len(block) % 2, 2)
    (link,) = struct.unpack_from("<I", marked, start + 2 + 12 * count)
    assert read_ifd(marked, link, "<").tags == {0x0201: Tag(4, 1, struct.pack("<I", 60))}


def test_with_software_without_a_block_makes_one_that_other_programs_read():
    block = with_software(None, "deepot 0.1.0")
    assert with_software(b"", "deepot 0.1.0") == block
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=b"Exif\0\0" + block)
    with Image.open(file) as image:
        assert dict(image.getexif()) == {SOFTWARE: "deepot 0.1.0"}


def test_with_software_returns_none_for_blocks_that_it_cannot_read():
    block = exif_block("<")
    assert with_software(b"no EXIF", "x") is None
    assert with_software(b"II*\0\xff\xff\xff\xff", "x") is None
    (count,) = struct.unpack_from("<H", block, 8)
    for end in range(1, 10 + 12 * count):
        assert with_software(block[:end], "x") is None
    assert with_software(block[: 10 + 12 * count], "x") is not None, "only values and the link are missing"
