"""Photos inside tars, ZIP files, Parquet columns and lists: found in order, read by their bytes alone."""

import hashlib
import io
import os
import tarfile
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.job import Limits
from pipeline.errors import ErrorCode, ImageError, StorageError
from pipeline.sources import members
from pipeline.sources.fetch import read_input
from pipeline.sources.find import find_images
from pipeline.sources.members import read_photo, sanitize_path
from tests.support.image_files import encode_image, make_corpus_photo

NAMES = ["b/0002.png", "0001.jpg", "Ü #1+2.webp"]


def picture_bytes(name):
    kind = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[name.rpartition(".")[2]]
    return encode_image(make_corpus_photo().crop((0, 0, 8 + len(name), 8)), kind)


def tar(path, files):
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def samples():
    files = {name: picture_bytes(name) for name in NAMES}
    return files | {"0001.json": b'{"year": 1912}', "0001.txt": b"a street"}


def found(uri):
    entries = list(find_images(str(uri), "input"))
    keys = [entry.key for entry in entries]
    assert keys == sorted(keys), "a plan takes entries in the order of their keys"
    return {entry.key: read_photo(entry.uri) for entry in entries}


def test_tar_shards(tmp_path):
    tar(tmp_path / "a.tar", samples())
    tar(tmp_path / "a-2.tar", {"x.png": picture_bytes("x.png")})
    expected = {f"a.tar/{name}": picture_bytes(name) for name in NAMES}
    assert found(tmp_path / "a.tar") == expected
    assert found(f"{tmp_path}/*.tar") == expected | {"a-2.tar/x.png": picture_bytes("x.png")}


def test_zip_files_stored_and_deflated(tmp_path):
    with zipfile.ZipFile(tmp_path / "box.zip", "w") as archive:
        for number, name in enumerate(NAMES):
            archive.writestr(name, picture_bytes(name), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2])
        archive.writestr("notes.txt", "no photo")
        archive.writestr("x.png", picture_bytes("x.png"), zipfile.ZIP_LZMA)
    by_key = {entry.key: entry for entry in find_images(str(tmp_path / "box.zip"), "input")}
    assert list(by_key) == sorted([f"box.zip/{name}" for name in [*NAMES, "x.png"]])
    for name in NAMES:
        assert read_photo(by_key[f"box.zip/{name}"].uri) == picture_bytes(name)
    with pytest.raises(ImageError, match="compressed by method 14; members that are stored or deflated") as caught:
        read_input(by_key["box.zip/x.png"], Limits())
    assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT


class Stream(io.RawIOBase):
    """Cannot go back, so `zipfile` writes checksums behind the members."""

    def __init__(self):
        self.held = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.held += data
        return len(data)


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("streamed", [False, True])
def test_damaged_and_encrypted_zip_members_are_not_tried_again(tmp_path, how, streamed):
    stream = Stream() if streamed else io.BytesIO()
    content = encode_image(make_corpus_photo(), "BMP")
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name in ("a.bmp", "b.bmp"):
            archive.writestr(name, content)
    data = bytes(stream.held) if streamed else stream.getvalue()
    (tmp_path / "box.zip").write_bytes(data)
    entries = list(find_images(str(tmp_path / "box.zip"), "input"))
    assert [read_input(entry, Limits()) for entry in entries] == [content] * 2
    first = entries[0]
    for place, value, code in [
        (len(b"a.bmp") + 30 + first.size // 2, 0x55, ErrorCode.DAMAGED),
        (0, 0x55, ErrorCode.DAMAGED),
        (6, 0x01, ErrorCode.UNSUPPORTED_FORMAT),
    ]:
        damaged = bytearray(data)
        damaged[place] ^= value
        (tmp_path / "box.zip").write_bytes(damaged)
        with pytest.raises(ImageError) as caught:
            read_input(first, Limits())
        assert (caught.value.code, caught.value.code.retriable) == (code, False)
        assert read_input(entries[1], Limits()) == content


def test_a_row_that_is_no_photo_is_not_tried_again(tmp_path):
    pq.write_table(pa.table({"image": [b"1"]}), tmp_path / "p.parquet")
    (entry,) = find_images(str(tmp_path / "p.parquet"), "input")
    gone = entry._replace(uri=entry.uri.removesuffix("/0") + "/9")
    with pytest.raises(ImageError, match="does not name a photo") as caught:
        read_input(gone, Limits())
    assert caught.value.code is ErrorCode.DAMAGED


def test_a_row_group_is_read_once_whoever_wants_its_photos(tmp_path, monkeypatch):
    """Threads that read a shard ahead, or verify it, come at the same moment."""
    pq.write_table(pa.table({"image": [bytes([number]) for number in range(8)]}), tmp_path / "p.parquet")
    entries = list(find_images(str(tmp_path / "p.parquet"), "input"))
    reads, real = [], members.open_ranged

    def opened(uri):
        reads.append(uri)
        time.sleep(0.05)
        return real(uri)

    monkeypatch.setattr(members, "open_ranged", opened)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda entry: read_photo(entry.uri), entries)) == [bytes([i]) for i in range(8)]
    assert len(reads) == 1


def test_what_inflates_without_end_is_not_inflated(tmp_path):
    """A ZIP member of 64 KiB that has 64 MiB, and one whose bytes are cut short."""
    with zipfile.ZipFile(tmp_path / "box.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(64 * 2**20))
    (entry,) = find_images(str(tmp_path / "box.zip"), "input")
    limits = Limits(max_bytes=2**20)
    assert entry.size < 2**17
    tracemalloc.start()
    with pytest.raises(ImageError, match="inflated it has more") as caught:
        read_input(entry, limits)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()
    assert caught.value.code is ErrorCode.TOO_LARGE
    short = entry._replace(uri=entry.uri.replace(f"+{entry.size}/", f"+{entry.size - 9}/"))
    with pytest.raises(ImageError, match="it is cut short"):
        read_input(short, Limits())


@pytest.mark.parametrize("layout", ["bytes", "struct", "uris"])
def test_parquet_columns(tmp_path, layout):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture_bytes(name))
    column = {
        "bytes": [picture_bytes(name) for name in NAMES],
        "struct": [{"bytes": picture_bytes(name), "path": name} for name in NAMES],
        "uris": [str(tmp_path / NAMES[0]), *NAMES[1:]],
    }[layout]
    pq.write_table(pa.table({"scan": column, "year": [1, 2, 3]}), tmp_path / "p.parquet", row_group_size=2)
    photos = found(f"{tmp_path}/p.parquet#scan")
    if layout == "uris":
        assert photos == {str(tmp_path / name).lstrip("/"): picture_bytes(name) for name in NAMES}
    else:
        assert list(photos.values()) == [picture_bytes(name) for name in NAMES]
    if layout == "struct":
        assert list(photos) == ["p.parquet/00000000.png", "p.parquet/00000001.jpg", "p.parquet/00000002.webp"]
    with pytest.raises(StorageError, match=r"no column 'image' .*there are scan, year"):
        found(tmp_path / "p.parquet")


def test_lists(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture_bytes(name))
    (tmp_path / "list.txt").write_text(
        f"# photos of box 3\n{NAMES[1]}\n\n{tmp_path}/{NAMES[0]}\nfile://{tmp_path}/{NAMES[2]}\n"
    )
    photos = found(tmp_path / "list.txt")
    assert sorted(photos.values()) == sorted(map(picture_bytes, NAMES))


def test_a_list_in_another_encoding_is_one_sentence(tmp_path):
    (tmp_path / "list.txt").write_bytes("# box 3\ncafé.png\n".encode("latin-1"))
    with pytest.raises(StorageError, match=r"list.txt is no list in UTF-8: see the byte 0xe9 in line 2"):
        found(tmp_path / "list.txt")


def test_paths_without_bytes_in_a_column_of_hugging_face_are_relative_to_it(tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    rows = [{"bytes": None, "path": "a.png"}, {"bytes": b"two", "path": "b.png"}]
    pq.write_table(pa.table({"image": rows}), tmp_path / "p.parquet")
    assert list(found(tmp_path / "p.parquet").values()) == [b"one", b"two"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_names_in_several_parquet_files_come_in_order(tmp_path, kind):
    """Whatever order they have in the files, and each once; one of them is damaged."""
    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    (tmp_path / "0.parquet").write_bytes(b"nothing of the kind")
    for number, names in enumerate(["dab", "cb"], 1):
        column = pa.array([f"{tmp_path}/{name}.png" for name in names], kind)
        pq.write_table(pa.table({"image": column}), tmp_path / f"{number}.parquet")
    entries = list(find_images(f"{tmp_path}/*.parquet", "input"))
    keys = [entry.key for entry in entries]
    assert keys == sorted(keys), "a plan takes entries in the order of their keys"
    assert sorted(key.rpartition("/")[2] for key in keys) == ["0.parquet", "a.png", "b.png", "c.png", "d.png"]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
def test_bytes_of_every_kind(tmp_path, kind):
    pq.write_table(pa.table({"image": pa.array([b"one", b"two"], kind)}), tmp_path / "p.parquet")
    assert list(found(tmp_path / "p.parquet").values()) == [b"one", b"two"]


@pytest.mark.parametrize("how", ["list", "lists", "column"])
def test_two_photos_that_would_have_one_result_are_refused(tmp_path, how):
    """One of them was left out, silently."""
    names = ["memory://archive/scans/a.png", "memory://archive//scans/a.png"]
    if how == "column":
        pq.write_table(pa.table({"image": names}), tmp_path / "x.parquet")
    else:
        for number, lines in enumerate([names] if how == "list" else [names[:1], names[1:]]):
            (tmp_path / f"{number}.txt").write_text("\n".join(lines))
    with pytest.raises(StorageError, match=r"scans/a.png and memory://.* would both have the result archive/scans/a"):
        list(find_images(f"{tmp_path}/*.{'parquet' if how == 'column' else 'txt'}", "input"))


@pytest.mark.parametrize("how", ["list", "column"])
def test_a_listed_photo_that_changes_is_seen_as_changed(tmp_path, how):
    names = ["a.png", "b.png", "box.tar#512+3/c.png", "none.png"]
    for name in names[:2]:
        (tmp_path / name).write_bytes(b"one")
    tar(tmp_path / "box.tar", {"c.png": b"one"})
    if how == "list":
        (tmp_path / "list.txt").write_text("\n".join([*names, names[0]]))
        (tmp_path / "more.txt").write_text(names[1])
    else:
        pq.write_table(pa.table({"image": [*names, names[0], None]}), tmp_path / "list.parquet")
    place = f"{tmp_path}/*.txt" if how == "list" else f"{tmp_path}/list.parquet"

    def listed():
        entries = list(find_images(place, "input"))
        return {entry.uri.removeprefix(f"{tmp_path}/"): entry for entry in entries}, len(entries)

    before, count = listed()
    assert (count, set(before)) == (4, set(names)), "each once, however often it is named"
    assert [before[name].size for name in names] == [3, 3, 3, 0]
    assert before["a.png"].mtime == (tmp_path / "a.png").stat().st_mtime
    (tmp_path / "b.png").write_bytes(b"another")
    os.utime(tmp_path / "box.tar", (1, 1))
    after, _ = listed()
    assert {name for name in names if after[name] != before[name]} == {"b.png", "box.tar#512+3/c.png"}


def test_a_listed_object_has_its_etag(tmp_path, s3):
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="listed")
    client.put_object(Bucket="listed", Key="a.png", Body=b"one")
    (tmp_path / "list.txt").write_text("s3://listed/a.png\ns3://listed/none.png\ns3://no-such-bucket/a.png\n")
    entries = {entry.uri: entry for entry in find_images(str(tmp_path / "list.txt"), "input")}
    there = entries["s3://listed/a.png"]
    assert (there.size, there.etag) == (3, hashlib.md5(b"one").hexdigest())
    assert there.mtime > 0
    for missing in ("s3://listed/none.png", "s3://no-such-bucket/a.png"):
        assert entries[missing][2:] == (0, "", 0.0)


def test_members_are_read_from_object_storage_by_range(tmp_path, s3):
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="shards")
    client.upload_file(str(tar(tmp_path / "a.tar", samples())), "shards", "deep/a.tar")
    assert found("s3://shards/deep/*.tar") == {f"a.tar/{name}": picture_bytes(name) for name in NAMES}


def test_hostile_and_damaged_containers(tmp_path):
    tar(tmp_path / "evil.tar", {"../../etc/x.png": b"1", "/abs/y.png": b"2", "a\\..\\z.png": b"3"})
    assert list(found(tmp_path / "evil.tar")) == ["evil.tar/a/z.png", "evil.tar/abs/y.png", "evil.tar/etc/x.png"]
    assert sanitize_path("./..//a/./b") == "a/b"
    tar(tmp_path / "twice.tar", {"x.png": b"1", "./x.png": b"2"})
    with pytest.raises(StorageError, match="two photos of the name"):
        found(tmp_path / "twice.tar")
    for name, message in (("no.tar", "no tar file"), ("no.zip", "no ZIP file"), ("no.parquet", "no Parquet file")):
        (tmp_path / name).write_bytes(b"nothing of the kind" * 100)
        with pytest.raises(StorageError, match=message):
            found(tmp_path / name)
    with pytest.raises(StorageError, match="compressed tar"):
        found(tmp_path / "a.tar.gz")
    for uri in ("a.tar#x/y.png", "a.parquet#image/one/2"):
        with pytest.raises(StorageError, match="does not name a photo"):
            read_photo(f"{tmp_path}/{uri}")
    with pytest.raises(FileNotFoundError):
        read_photo(f"{tmp_path}/none.tar#0+10/y.png")


@pytest.mark.parametrize("suffix", ["tar", "zip", "parquet"])
def test_one_damaged_container_of_several_is_one_failed_photo(tmp_path, suffix):
    good = {"a": b"1", "z": b"2"}
    for name, data in good.items():
        if suffix == "tar":
            tar(tmp_path / f"{name}.tar", {"x.png": data})
        elif suffix == "zip":
            with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
                archive.writestr("x.png", data)
        else:
            pq.write_table(pa.table({"image": [data]}), tmp_path / f"{name}.parquet")
    (tmp_path / f"a-bad.{suffix}").write_bytes(b"nothing of the kind" * 100)
    (tmp_path / f"a.{suffix}.bad.{suffix}").write_bytes(b"")
    entries = list(find_images(f"{tmp_path}/*.{suffix}", "input"))
    assert [entry.key for entry in entries] == sorted(entry.key for entry in entries)
    bad = [entry for entry in entries if "bad" in entry.key]
    assert [entry.key for entry in bad] == [
        f"{name}/{name}" for name in (f"a-bad.{suffix}", f"a.{suffix}.bad.{suffix}")
    ]
    assert [read_photo(entry.uri) for entry in entries if entry not in bad] == list(good.values())
    for entry in bad:
        with pytest.raises(ImageError, match="cannot be told") as caught:
            read_input(entry, Limits())
        assert caught.value.code is ErrorCode.DAMAGED


def test_files_whose_names_look_strange_are_files(tmp_path):
    (tmp_path / "deep#1.tar.d").mkdir()
    (tmp_path / "deep#1.tar.d" / "ü#1.png").write_bytes(b"x")
    assert found(tmp_path) == {"deep#1.tar.d/ü#1.png": b"x"}
