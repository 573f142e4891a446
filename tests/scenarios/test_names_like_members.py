"""Files and folders that are called like a photo in a tar, a ZIP file or a Parquet file are files and folders."""

import pyarrow as pa
import pytest

from pipeline.curation import export_photos
from pipeline.outputs.file_writer import FileWriter
from pipeline.progress import NullProgress
from pipeline.sources import find_images, parse_member_uri, read_photo
from pipeline.storage import iter_files, join_uri, read, write
from pipeline.storage.resolve import resolve_store
from tests.support.containers import find_photos, write_parquet, write_tar, write_zip

KEYS = sorted(
    [
        "PHOTO.TAR#1+2/x.png",
        "box.zip#10+512/scan.png",
        "p.parquet#image/0/17/x.png",
        "photo.tar#1+2/x.png",
        "photo.tar%231+2/x.png",
        "photo.tar%25231+2/x.png",
        "photo.tar#@1+2/x.png",
        "x.tar#y/a.tar#1+2/b.png",
        "x.tar#y/p.png",
        "x.zip#/p#1.png",
    ]
)


def fill(folder, tmp_path):
    """Write the files of `KEYS`, and containers where their names seem to point, through the store itself."""
    store, path = resolve_store(join_uri(folder, "in"))
    for key in KEYS:
        store.write(f"{path}/{key}", key.encode())
    for kind, writer in (("tar", write_tar), ("zip", write_zip)):
        for name in ("photo", "PHOTO", "box", "x"):
            store.write(
                f"{path}/{name}.{kind}", writer(tmp_path / f"c.{kind}", {"x.png": b"in a container"}).read_bytes()
            )
    store.write(f"{path}/p.parquet", write_parquet(tmp_path / "c.parquet", [b"in a container"]).read_bytes())
    return join_uri(folder, "in")


def test_files_of_a_folder_are_read_as_files(storage_folder, tmp_path):
    folder = fill(storage_folder, tmp_path)
    assert find_photos(folder) == {key: key.encode() for key in KEYS}
    assert all(parse_member_uri(entry.uri) is None for entry in find_images(folder, "input"))


def test_files_of_a_glob_and_of_a_folder_with_a_hash_are_read_as_files(storage_folder, tmp_path):
    folder = fill(storage_folder, tmp_path)
    assert find_photos(f"{folder}/x.tar#y/*.png") == {"p.png": b"x.tar#y/p.png"}
    assert find_photos(f"{folder}/x.tar#y/") == {
        "a.tar#1+2/b.png": b"x.tar#y/a.tar#1+2/b.png",
        "p.png": b"x.tar#y/p.png",
    }
    assert find_photos(f"{folder}/photo.tar#1+2/x.png") == {"x.png": b"photo.tar#1+2/x.png"}


def test_list_that_select_writes_names_the_same_files(storage_folder, tmp_path):
    entries = list(find_images(fill(storage_folder, tmp_path), "input"))
    rows = pa.table({"input_uri": [entry.uri for entry in entries], "file_name": KEYS, "status": ["ok"] * len(KEYS)})
    export_photos(rows, join_uri(storage_folder, "kept.txt"), "input", NullProgress())
    assert sorted(find_photos(join_uri(storage_folder, "kept.txt")).values()) == sorted(key.encode() for key in KEYS)


def test_list_may_name_a_folder_with_a_hash_as_it_is(storage_folder, tmp_path):
    folder = fill(storage_folder, tmp_path)
    names = ["in/x.tar#y/p.png", "in/photo.tar%231+2/x.png", f"{folder}/x.zip#/p#1.png"]
    write(join_uri(storage_folder, "list.txt"), "\n".join(names).encode())
    found = find_photos(join_uri(storage_folder, "list.txt"))
    assert sorted(found.values()) == [b"photo.tar#1+2/x.png", b"x.tar#y/p.png", b"x.zip#/p#1.png"]
    assert not any("%23" in key for key in found)


@pytest.mark.parametrize("kind", ["tar", "zip", "parquet"])
def test_container_in_a_folder_with_a_hash_is_read(storage_folder, tmp_path, kind):
    writers = {
        "tar": write_tar,
        "zip": write_zip,
        "parquet": lambda path, files: write_parquet(path, [*files.values()]),
    }
    data = writers[kind](tmp_path / f"c.{kind}", {"q.tar#1+2/x.png": b"1"}).read_bytes()
    write(join_uri(storage_folder, "x.tar#1+2", f"c.{kind}"), data)
    uri = f"{storage_folder}/x.tar#1+2/c.{kind}"
    (entry,) = find_images(uri, "input")
    assert read_photo(entry.uri) == b"1"
    write(
        join_uri(storage_folder, "list.txt"),
        f"{entry.uri}\nx.tar%231+2/c.{kind}{entry.uri.partition(f'c.{kind}')[2]}".encode(),
    )
    assert list(find_photos(join_uri(storage_folder, "list.txt")).values()) == [b"1"]


def test_result_that_is_called_like_a_member_is_a_file(storage_folder):
    for output in ("out", "out.tar#1+2"):
        writer = FileWriter(join_uri(storage_folder, output))
        for key in KEYS:
            row = {"input_uri": "memory://photos/x.png"}
            writer.add(row, key, key.encode())
            assert parse_member_uri(row["output_uri"]) is None
            assert read_photo(row["output_uri"]) == read(row["output_uri"]) == key.encode()
        assert sorted(entry.key for entry in iter_files(join_uri(storage_folder, output))) == sorted(KEYS)


def test_folder_with_a_hash_is_excluded(tmp_path):
    folder = fill(str(tmp_path / "archive"), tmp_path)
    found = find_images(folder, "input", [f"{folder}/x.tar#y"])
    assert [entry.key for entry in found] == [key for key in KEYS if not key.startswith("x.tar#y")]
