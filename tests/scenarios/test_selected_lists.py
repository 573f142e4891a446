"""A list that `select` writes names the same photos when it is the input of another job, whatever their names are."""

import os

import pyarrow as pa
import pytest

from pipeline.curation import export_photos
from pipeline.progress import NullProgress
from pipeline.sources import find_images, read_photo

ODD_NAMES = [
    *(f"a{mark}b.png".encode() for mark in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"),
    *(
        b" blank.png",
        b"blank.png ",
        b"\tblank.png",
        b"#hash.png",
        b'"quoted.png"',
        b'#json "a.png"',
        b"back\\slash.png",
    ),
    *(b"\xff\xfe.png", b"\x80\n.png", "\ufeffmark.png".encode(), "\uf780.png".encode(), b"%23.png", b"plain.png"),
]


@pytest.mark.parametrize("photo_kind", ["input", "output"])
def test_selected_list_names_each_photo_once(tmp_path, photo_kind):
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate(ODD_NAMES):
        (folder / os.fsdecode(name)).write_bytes(b"%d" % number)
    uris = [entry.uri for entry in find_images(f"{folder}/*", "input")]
    rows = pa.table({"input_uri": uris, "output_uri": uris, "file_name": uris, "status": ["ok"] * len(uris)})
    export_photos(rows, str(tmp_path / "kept.txt"), photo_kind, NullProgress())
    listed = list(find_images(str(tmp_path / "kept.txt"), "input"))
    assert sorted(entry.uri for entry in listed) == sorted(uris)
    assert sorted(read_photo(entry.uri) for entry in listed) == sorted(b"%d" % n for n in range(len(ODD_NAMES)))
