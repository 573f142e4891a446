"""Directories of tags."""

import struct

from pipeline.imageio.metadata.ifd import (
    IMAGE_WIDTH,
    Ifd,
    Tag,
    with_integers,
)

MAX_PIXELS = 10**9


def test_with_integers_leaves_a_tag_that_is_too_small_unchanged():
    block = Ifd("<", {IMAGE_WIDTH: Tag(3, 1, struct.pack("<H", 40_000))}).to_exif_block()
    assert with_integers(block, {IMAGE_WIDTH: 80_000}) == block
    assert with_integers(block, {IMAGE_WIDTH: 60_000}) != block
    for end in range(len(block)):
        assert len(with_integers(block[:end], {IMAGE_WIDTH: 60_000})) == end
