"""Which photos a URI names: containers of every kind, corrupt ones among several, and names that only look like one."""

import pyarrow as pa
import pytest

from pipeline.config.job import Limits
from pipeline.errors import ErrorCode, ImageError, NothingFoundError, StorageError
from pipeline.sources.containers import CONTAINERS
from pipeline.sources.find import find_images
from pipeline.sources.reading import read_input, read_photo
from pipeline.storage import join_uri, write
from tests.support.containers import find_photos, write_parquet, write_tar, write_zip

WRITERS = {
    "tar": write_tar,
    "zip": write_zip,
    "parquet": lambda path, files: write_parquet(path, pa.array(list(files.values()), None if files else pa.binary())),
    "txt": lambda path, files: path.write_text("\n".join(files)),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_container_gives_its_photos_from_every_store(kind, storage_folder, tmp_path):
    """The photos of two containers, in order; a list names what lies beside it."""
    for name, files in {"a": {"x.png": b"1", "y.png": b"22"}, "b": {"z.png": b"333"}}.items():
        WRITERS[kind](tmp_path / f"{name}.{kind}", files)
        write(join_uri(storage_folder, f"{name}.{kind}"), (tmp_path / f"{name}.{kind}").read_bytes())
        for key, data in files.items():
            write(join_uri(storage_folder, key), data)
    assert list(find_photos(f"{storage_folder}/a.{kind}").values()) == [b"1", b"22"]
    assert list(find_photos(f"{storage_folder}/*.{kind}").values()) == [b"1", b"22", b"333"]


@pytest.mark.parametrize("kind", CONTAINERS)
def test_empty_container_has_no_photos(kind, tmp_path):
    WRITERS[kind](tmp_path / f"a.{kind}", {})
    WRITERS[kind](tmp_path / f"b.{kind}", {})
    for uri in (f"{tmp_path}/a.{kind}", f"{tmp_path}/*.{kind}"):
        with pytest.raises(NothingFoundError, match="no images found"):
            list(find_images(uri, "input"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("no.tar", "not a tar file"), ("no.zip", "not a ZIP file"), ("no.parquet", "it is corrupt")],
)
def test_only_container_that_is_corrupt_is_one_failed_photo(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"nothing of the kind" * 100)
    (entry,) = find_images(str(tmp_path / name), "input")
    assert entry.key == f"{name}/{name}"
    with pytest.raises(ImageError, match=message) as caught:
        read_input(entry, Limits())
    assert caught.value.code is ErrorCode.DAMAGED


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("kind", ["tar", "zip", "parquet"])
@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("deep"), TypeError("odd"), AssertionError(), KeyError()]
)
def test_whatever_a_parser_raises_is_one_failed_photo(tmp_path, monkeypatch, kind, error, alone):
    names = ["a", "b"][: 1 if alone else 2]
    for name in names:
        WRITERS[kind](tmp_path / f"{name}.{kind}", {"x.png": name.encode()})
    real = CONTAINERS[kind].entries

    def entries(file, column, allow):
        if file.key == f"a.{kind}":
            raise error
        yield from real(file, column, allow)

    monkeypatch.setattr(CONTAINERS[kind], "entries", entries)
    found = list(find_images(f"{tmp_path}/a.{kind}" if alone else f"{tmp_path}/*.{kind}", "input"))
    assert [entry.key.partition("/")[0] for entry in found] == [f"{name}.{kind}" for name in names]
    monkeypatch.undo()
    with pytest.raises(ImageError, match="cannot be listed"):
        read_input(found[0], Limits())
    assert [read_photo(entry.uri) for entry in found[1:]] == [b"b"][: len(names) - 1]


def test_container_that_storage_does_not_return_stops_the_listing(tmp_path, monkeypatch):
    """A network that is down must not fail an archive for good."""
    write_tar(tmp_path / "a.tar", {"x.png": b"1"})

    def entries(file, column, allow):
        raise StorageError("no answer")

    monkeypatch.setattr(CONTAINERS["tar"], "entries", entries)
    with pytest.raises(StorageError, match="no answer"):
        list(find_images(f"{tmp_path}/a.tar", "input"))


@pytest.mark.parametrize("kind", ["tar", "zip", "parquet"])
def test_one_corrupt_container_of_several_is_one_failed_photo(tmp_path, kind):
    good = {"a": b"1", "z": b"2"}
    for name, data in good.items():
        WRITERS[kind](tmp_path / f"{name}.{kind}", {"x.png": data})
    bad_names = [f"a-bad.{kind}", f"a.{kind}.bad.{kind}"]
    (tmp_path / bad_names[0]).write_bytes(b"nothing of the kind" * 100)
    (tmp_path / bad_names[1]).write_bytes(b"")
    entries = list(find_images(f"{tmp_path}/*.{kind}", "input"))
    assert [entry.key for entry in entries] == sorted(entry.key for entry in entries)
    bad = [entry for entry in entries if "bad" in entry.key]
    assert [entry.key for entry in bad] == [f"{name}/{name}" for name in bad_names]
    assert [read_photo(entry.uri) for entry in entries if entry not in bad] == list(good.values())
    for entry in bad:
        with pytest.raises(ImageError, match="cannot be listed: it is corrupt") as caught:
            read_input(entry, Limits())
        assert caught.value.code is ErrorCode.DAMAGED


@pytest.mark.parametrize("name", ["a.tar.gz", "a.TGZ", "*.tar.zst"])
def test_compressed_tar_is_refused_with_the_way_out(tmp_path, name):
    with pytest.raises(StorageError, match=r"compressed tar .*; decompress it to \.tar"):
        find_photos(tmp_path / name)


def test_files_whose_names_look_like_members_are_files(tmp_path):
    (tmp_path / "deep#1.tar.d").mkdir()
    (tmp_path / "deep#1.tar.d" / "ü#1.png").write_bytes(b"x")
    assert find_photos(tmp_path) == {"deep#1.tar.d/ü#1.png": b"x"}
