"""The suffix of a photo is that of its format, whatever its name is."""

import pytest

from pipeline.imageio.file_suffix import extension_for
from tests.support.image_corpus import PHOTO_KINDS, make_kind
from tests.support.image_files import encode_image, make_corpus_photo

MAX_PIXELS = 10**9


@pytest.mark.parametrize("kind", PHOTO_KINDS, ids=lambda kind: kind.name)
def test_extension_for_any_name_is_that_of_the_format(kind):
    data, own = make_kind(kind), "." + kind.name.rpartition(".")[2]
    assert extension_for(f"box.zip#10+512/{kind.name.upper()}", data) == own
    for name in ("00000.parquet#image/0/17", "scan", "photo.php?id=3", "scan.gif"):
        assert extension_for(name, data) == own


def test_extension_for_matching_name_or_unknown_bytes_is_that_of_the_name():
    data = encode_image(make_corpus_photo(), "JPEG")
    assert [extension_for(name, data) for name in ("a.JFIF", "a.jpeg", "a.png")] == [".jfif", ".jpeg", ".jpg"]
    assert [extension_for(name, b"none") for name in ("a.TIF", "00000.parquet#image/0/17")] == [".tif", ""]
