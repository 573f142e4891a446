"""Lists of photos: relative and absolute names, other encodings, changed photos, and two names of one result."""

import hashlib
import os

import boto3
import pytest

from pipeline.errors import ContainerError, StorageError
from pipeline.sources.find import find_images
from pipeline.sources.member_uri import ArchiveMember
from pipeline.sources.photo_list import PhotoList
from tests.support.containers import PHOTO_NAMES, find_photos, photo_bytes, write_parquet, write_tar


def test_list_gives_relative_and_absolute_photos(tmp_path):
    for name in PHOTO_NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(photo_bytes(name))
    first, second, third = PHOTO_NAMES
    (tmp_path / "list.txt").write_text(f"# box 3\n{second}\n\n{tmp_path}/{first}\nfile://{tmp_path}/{third}\n")
    photos = find_photos(tmp_path / "list.txt")
    assert sorted(photos.values()) == sorted(map(photo_bytes, PHOTO_NAMES))


def test_list_in_another_encoding_is_refused_with_line_and_byte(tmp_path):
    (tmp_path / "list.txt").write_bytes("# box 3\ncafé.png\n".encode("latin-1"))
    with pytest.raises(StorageError, match=r"list.txt is not a list in UTF-8: line 2 has the byte 0xe9; save the list"):
        find_photos(tmp_path / "list.txt")


@pytest.mark.parametrize("kind", ["list", "lists", "column"])
def test_two_photos_that_would_have_one_result_are_refused(tmp_path, kind):
    names = ["memory://archive/scans/a.png", "memory://archive//scans/a.png"]
    if kind == "column":
        write_parquet(tmp_path / "x.parquet", names)
    else:
        for number, lines in enumerate([names] if kind == "list" else [names[:1], names[1:]]):
            (tmp_path / f"{number}.txt").write_text("\n".join(lines))
    with pytest.raises(StorageError, match=r"scans/a.png and memory://.* would both have the result archive/scans/a"):
        list(find_images(f"{tmp_path}/*.{'parquet' if kind == 'column' else 'txt'}", "input"))


@pytest.mark.parametrize("kind", ["list", "column"])
def test_listed_photo_that_changes_has_another_state(tmp_path, kind):
    names = ["a.png", "b.png", "box.tar#512+3/c.png", "none.png"]
    for name in names[:2]:
        (tmp_path / name).write_bytes(b"one")
    write_tar(tmp_path / "box.tar", {"c.png": b"one"})
    if kind == "list":
        (tmp_path / "list.txt").write_text("\n".join([*names, names[0]]))
        (tmp_path / "more.txt").write_text(names[1])
    else:
        write_parquet(tmp_path / "list.parquet", [*names, names[0], None])
    uri = f"{tmp_path}/*.txt" if kind == "list" else f"{tmp_path}/list.parquet"

    def list_states():
        entries = list(find_images(uri, "input"))
        return {entry.uri.removeprefix(f"{tmp_path}/"): entry for entry in entries}, len(entries)

    before, count = list_states()
    assert (count, set(before)) == (4, set(names)), "each once, however often it is named"
    assert [before[name].size for name in names] == [3, 3, 3, 0]
    assert before["a.png"].mtime == (tmp_path / "a.png").stat().st_mtime
    (tmp_path / "b.png").write_bytes(b"another")
    os.utime(tmp_path / "box.tar", (1, 1))
    after, _ = list_states()
    assert {name for name in names if after[name] != before[name]} == {"b.png", "box.tar#512+3/c.png"}


def test_listed_object_has_its_etag_and_a_missing_one_has_none(tmp_path, s3):
    client = boto3.client("s3")
    client.create_bucket(Bucket="listed")
    client.put_object(Bucket="listed", Key="a.png", Body=b"one")
    (tmp_path / "list.txt").write_text("s3://listed/a.png\ns3://listed/none.png\ns3://no-such-bucket/a.png\n")
    entries = {entry.uri: entry for entry in find_images(str(tmp_path / "list.txt"), "input")}
    found = entries["s3://listed/a.png"]
    assert (found.size, found.etag) == (3, hashlib.md5(b"one").hexdigest())
    assert found.mtime > 0
    for missing in ("s3://listed/none.png", "s3://no-such-bucket/a.png"):
        assert entries[missing][2:] == (0, "", 0.0)


def test_list_has_no_members_to_read():
    with pytest.raises(ContainerError, match="read the photos that it names"):
        PhotoList().read_member(ArchiveMember("a.txt", "txt", "0+1/x.png"), 10)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("place", ["disk", "server"])
def test_list_without_end_is_refused_with_the_way_out(tmp_path, monkeypatch, web, place):
    monkeypatch.setattr("pipeline.sources.photo_list.MAX_LIST_BYTES", 10_000)
    web.endless.add("/list.txt")
    (tmp_path / "list.txt").write_text("x" * 10_001)
    with pytest.raises(StorageError, match=r"list\.txt has more than 10000 bytes: split the list into several"):
        list(find_images(f"{tmp_path if place == 'disk' else web.url}/list.txt", "input"))
    assert web.sent < 64 * 2**20
