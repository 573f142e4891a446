"""Directories of tags."""

import struct

import pytest

from pipeline.imageio.metadata.gps import strip_exif_gps
from pipeline.imageio.metadata.ifd import EXIF_IFD, GPS_IFD, IMAGE_WIDTH, Ifd, Tag, parse_exif_block, with_integers
from tests.support.growth import assert_linear

MAX_PIXELS = 10**9


def test_with_integers_leaves_a_tag_that_is_too_small_unchanged():
    block = Ifd("<", {IMAGE_WIDTH: Tag(3, 1, struct.pack("<H", 40_000))}).to_exif_block()
    assert with_integers(block, {IMAGE_WIDTH: 80_000}) == block
    assert with_integers(block, {IMAGE_WIDTH: 60_000}) != block
    for end in range(len(block)):
        assert len(with_integers(block[:end], {IMAGE_WIDTH: 60_000})) == end


def directories_in_a_maze(n):
    """A block of n entries, each an EXIF directory that starts one entry later than the last."""
    entries = b"".join(struct.pack("<HHII", EXIF_IFD, 4, 1, 10 + 12 * k) for k in range(n))
    return struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", n) + entries + bytes(4)


def values_that_overlap(n):
    """A block of n tags that all have the same bytes for their value, as many as the tags take."""
    entries = b"".join(struct.pack("<HHII", 0x9000 + k, 7, 12 * n, 8) for k in range(n))
    return struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", n) + entries + bytes(4)


def values_of_coordinates_that_overlap(n):
    entries = b"".join(struct.pack("<HHII", 33922, 7, 12 * n, 8) for k in range(n))
    return struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", n) + entries + bytes(4)


def gps_directories_in_a_maze(n):
    entries = b"".join(struct.pack("<HHII", GPS_IFD, 4, 1, 10 + 12 * k) for k in range(n))
    return struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", n) + entries + bytes(4)


@pytest.mark.parametrize(
    "make_block",
    [directories_in_a_maze, values_that_overlap, values_of_coordinates_that_overlap, gps_directories_in_a_maze],
)
@pytest.mark.parametrize(
    "read", [parse_exif_block, strip_exif_gps, lambda block: with_integers(block, {IMAGE_WIDTH: 1})]
)
def test_reading_directories_takes_steps_and_memory_in_proportion_to_the_block(make_block, read):
    assert_linear(read, make_block, 200)
    found = parse_exif_block(make_block(2000))
    assert sum(len(tag.data) for tag in found.tags.values()) <= len(make_block(2000)) + 2**16


def test_strip_exif_gps_of_endlessly_overlapping_directories_or_values_returns_none():
    assert strip_exif_gps(values_of_coordinates_that_overlap(2000)) is None
    assert strip_exif_gps(directories_in_a_maze(2000)) is None


def test_read_ifd_reads_values_that_two_tags_share():
    shared = struct.pack("<2sHIH", b"II", 42, 8, 2) + b"".join(
        struct.pack("<HHII", code, 5, 1, 38) for code in (282, 283)
    )
    tags = parse_exif_block(shared + bytes(4) + struct.pack("<II", 72, 1)).tags
    assert tags[282] == tags[283] == Tag(5, 1, struct.pack("<II", 72, 1))
