"""Columns of Parquet files: bytes, structs and URIs of every Arrow type, and reading a cell."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.job import Limits
from pipeline.errors import ErrorCode, ImageError, StorageError
from pipeline.sources import parquet_cells, parquet_column
from pipeline.sources.find import find_images
from pipeline.sources.reading import read_input, read_photo
from tests.support.containers import PHOTO_NAMES, find_photos, photo_bytes, write_parquet
from tests.support.memory import measure_memory

STRING_TYPES = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]

BYTES_TYPES = [
    *(pa.binary(), pa.large_binary(), pa.binary_view()),
    *(pa.dictionary(pa.int32(), pa.binary()), pa.dictionary(pa.int8(), pa.large_binary())),
]


def read_or_code(entry, limits=None):
    """The bytes of a photo, or the code with which reading it fails."""
    try:
        return read_input(entry, limits or Limits())
    except ImageError as error:
        return error.code


@pytest.mark.parametrize("layout", ["bytes", "struct", "uris"])
def test_column_gives_its_photos_in_order(tmp_path, layout):
    for name in PHOTO_NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(photo_bytes(name))
    column = {
        "bytes": [photo_bytes(name) for name in PHOTO_NAMES],
        "struct": [{"bytes": photo_bytes(name), "path": name} for name in PHOTO_NAMES],
        "uris": [str(tmp_path / PHOTO_NAMES[0]), *PHOTO_NAMES[1:]],
    }[layout]
    pq.write_table(pa.table({"scan": column, "year": [1, 2, 3]}), tmp_path / "p.parquet", row_group_size=2)
    photos = find_photos(f"{tmp_path}/p.parquet#scan")
    if layout == "uris":
        assert photos == {str(tmp_path / name).lstrip("/"): photo_bytes(name) for name in PHOTO_NAMES}
    else:
        assert list(photos.values()) == [photo_bytes(name) for name in PHOTO_NAMES]
    if layout == "struct":
        assert list(photos) == ["p.parquet/00000000.png", "p.parquet/00000001.jpg", "p.parquet/00000002.webp"]


@pytest.mark.parametrize("column", ["", "#none", "#year"])
def test_column_that_is_missing_or_holds_no_photos_is_named_with_the_others(tmp_path, column):
    pq.write_table(pa.table({"scan": [b"1"], "year": [1912]}), tmp_path / "p.parquet")
    name = column.removeprefix("#") or "image"
    with pytest.raises(StorageError, match=rf"no column '{name}' .*its columns are scan, year: name one"):
        find_photos(f"{tmp_path}/p.parquet{column}")


@pytest.mark.parametrize("dtype", BYTES_TYPES, ids=str)
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_bytes_of_every_type_are_read(tmp_path, dtype, use_dictionary):
    cells = pa.array([b"one", b"two", None, b"one"], dtype)
    write_parquet(tmp_path / "p.parquet", cells, use_dictionary=use_dictionary, row_group_size=3)
    entries = list(find_images(f"{tmp_path}/p.parquet", "input"))
    assert [read_or_code(entry) for entry in entries] == [b"one", b"two", ErrorCode.EMPTY_FILE, b"one"]
    too_large = [read_or_code(entry, Limits(max_bytes=2)) for entry in entries]
    assert too_large == [ErrorCode.TOO_LARGE] * 2 + [ErrorCode.EMPTY_FILE, ErrorCode.TOO_LARGE]


@pytest.mark.parametrize("bytes_type", BYTES_TYPES, ids=str)
@pytest.mark.parametrize("path_type", [None, *STRING_TYPES], ids=str)
def test_structs_of_every_type_are_read(tmp_path, bytes_type, path_type):
    """With a field that is of no interest, and without paths."""
    (tmp_path / "c.png").write_bytes(b"three")
    data = pa.array([b"one", None, b"two", None, None, b""], bytes_type)
    fields, names = [data, pa.array(range(6))], ["bytes", "width"]
    if path_type is not None:
        fields.append(pa.array(["a.png", "c.png", None, None, "none.png", "f.png"], path_type))
        names.append("path")
    is_null = pa.array([False] * 6 + [True])
    fields = [pa.concat_arrays([each, each.slice(0, 1)]) for each in fields]
    cells = pa.StructArray.from_arrays(fields, names, mask=is_null)
    write_parquet(tmp_path / "p.parquet", cells)
    entries = list(find_images(f"{tmp_path}/p.parquet", "input"))
    empty, missing = ErrorCode.EMPTY_FILE, ErrorCode.MISSING
    by_path = [b"three", missing] if path_type is not None else [empty, empty]
    assert [read_or_code(entry) for entry in entries] == [b"one", by_path[0], b"two", empty, by_path[1], b"", empty]
    suffixes = [".png", ".png", "", "", ".png", ".png"] if path_type is not None else [""] * 6
    keys = [f"p.parquet/{row:08d}{suffix}" for row, suffix in enumerate(suffixes)]
    assert [entry.key for entry in entries[:6]] == keys


@pytest.mark.parametrize(
    "dtype",
    [
        pa.list_(pa.uint8()),
        pa.struct([("path", pa.string())]),
        pa.struct([("bytes", pa.string()), ("path", pa.string())]),
        pa.struct([("bytes", pa.binary()), ("path", pa.int32())]),
        pa.dictionary(pa.int32(), pa.int64()),
    ],
    ids=str,
)
def test_column_of_another_type_is_refused(tmp_path, dtype):
    write_parquet(tmp_path / "p.parquet", pa.array([None], dtype))
    with pytest.raises(StorageError, match="no column 'image' of bytes"):
        find_photos(tmp_path / "p.parquet")


def test_paths_without_bytes_are_relative_to_the_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    write_parquet(tmp_path / "p.parquet", [{"bytes": None, "path": "a.png"}, {"bytes": b"two", "path": "b.png"}])
    assert list(find_photos(tmp_path / "p.parquet").values()) == [b"one", b"two"]


@pytest.mark.parametrize("cells", [[b"1", None], [{"bytes": b"1", "path": "a"}, {"bytes": None, "path": None}]])
def test_null_cell_holds_no_photo_and_is_no_missing_file(tmp_path, cells):
    write_parquet(tmp_path / "p.parquet", cells)
    entries = list(find_images(f"{tmp_path}/p.parquet", "input"))
    assert read_input(entries[0], Limits()) == b"1"
    with pytest.raises(ImageError, match=r"row 1 of row group 0, column 'image', is null: it holds no photo") as caught:
        read_input(entries[1], Limits())
    assert caught.value.code is ErrorCode.EMPTY_FILE


@pytest.mark.parametrize("dtype", STRING_TYPES, ids=str)
def test_uris_in_several_files_come_in_order_and_once(tmp_path, dtype):
    """Whatever order they have in the files; one of these is corrupt."""
    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    (tmp_path / "0.parquet").write_bytes(b"nothing of the kind")
    for number, names in enumerate(["dab", "cb"], 1):
        write_parquet(tmp_path / f"{number}.parquet", pa.array([f"{tmp_path}/{name}.png" for name in names], dtype))
    keys = [entry.key for entry in find_images(f"{tmp_path}/*.parquet", "input")]
    assert keys == sorted(keys), "a plan takes entries in the order of their keys"
    assert sorted(key.rpartition("/")[2] for key in keys) == ["0.parquet", "a.png", "b.png", "c.png", "d.png"]


def test_row_that_does_not_exist_is_not_retriable(tmp_path):
    write_parquet(tmp_path / "p.parquet", [b"1"])
    (entry,) = find_images(str(tmp_path / "p.parquet"), "input")
    beyond = entry._replace(uri=entry.uri.removesuffix("/0") + "/9")
    with pytest.raises(ImageError, match="does not name a photo") as caught:
        read_input(beyond, Limits())
    assert caught.value.code is ErrorCode.DAMAGED


class CountingLock:
    """A lock that counts who has asked for it."""

    def __init__(self):
        self.asked, self._lock = threading.Semaphore(0), threading.Lock()

    def __enter__(self):
        self.asked.release()
        self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()


def test_row_group_is_read_once_by_all_threads_that_want_its_photos(tmp_path, monkeypatch):
    """Threads that read a shard ahead, or verify it, come at the same moment."""
    write_parquet(tmp_path / "p.parquet", [bytes([number]) for number in range(8)])
    entries = list(find_images(str(tmp_path / "p.parquet"), "input"))
    lock, reads, real = CountingLock(), [], parquet_cells.open_container

    def open_when_all_have_come(uri):
        reads.append(uri)
        if len(reads) == 1:
            assert all(lock.asked.acquire(timeout=60) for _ in range(8))
        return real(uri)

    monkeypatch.setattr(parquet_column, "_ROW_GROUP_LOCKS", (lock,))
    monkeypatch.setattr(parquet_cells, "open_container", open_when_all_have_come)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda entry: read_photo(entry.uri), entries)) == [bytes([i]) for i in range(8)]
    assert len(reads) == 1


LONG_NAME = "x" * 8 * 2**20


@pytest.mark.parametrize("dtype", STRING_TYPES, ids=str)
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_long_name_in_every_row_fails_one_photo_a_row_in_little_memory(tmp_path, dtype, use_dictionary):
    """Of a file of a few kB, whose one name of 8 MB every row repeats."""
    write_parquet(
        tmp_path / "p.parquet", pa.array([LONG_NAME] * 40, dtype), compression="zstd", use_dictionary=use_dictionary
    )
    assert (tmp_path / "p.parquet").stat().st_size < 2**18
    with measure_memory() as used:
        entries = list(find_images(str(tmp_path / "p.parquet"), "input"))
    assert used.bytes < 8 * len(LONG_NAME)
    if len(entries) == 1 and not use_dictionary:  # a page of all rows
        with pytest.raises(ImageError, match="cannot be listed"):
            read_input(entries[0], Limits())
        return
    assert len(entries) == 40 and all(len(entry.uri) + len(entry.key) < 4096 for entry in entries)
    for entry in entries[:2]:
        with pytest.raises(ImageError, match=r"a name of 8388608 bytes; at most 4096|too much for") as caught:
            read_input(entry, Limits())
        assert caught.value.code is ErrorCode.UNSAFE_NAME


def test_names_as_long_as_allowed_and_longer_ones_are_told_apart(tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    longest = "./" * 2045 + "a.png"
    names = [longest, "/" + longest, "ü" * 2048 + "x", "", None, "a.png"]
    write_parquet(tmp_path / "p.parquet", names)
    (tmp_path / "p.txt").write_text(longest)
    entries = list(find_images(str(tmp_path / "p.parquet"), "input"))
    assert sorted(entry.uri.rpartition("/")[2] for entry in entries) == ["2", "a.png", "a.png"]
    assert len(list(find_images(str(tmp_path / "p.txt"), "input"))) == 1
    (tmp_path / "p.txt").write_text("ü" * 2048 + "x")
    with pytest.raises(
        StorageError, match=r"p\.txt has a name of 4097 bytes, which begins with 'üü.*at most 4096 bytes"
    ):
        list(find_images(str(tmp_path / "p.txt"), "input"))


def test_long_paths_of_structs_cost_their_suffixes_only(tmp_path):
    cells = [{"bytes": b"one", "path": LONG_NAME + ".png"}, {"bytes": b"two", "path": "b.png"}]
    write_parquet(tmp_path / "p.parquet", cells * 20, compression="zstd")
    with measure_memory() as used:
        entries = list(find_images(str(tmp_path / "p.parquet"), "input"))
    assert used.bytes < 8 * len(LONG_NAME)
    assert [entry.key for entry in entries[:2]] == ["p.parquet/00000000", "p.parquet/00000001.png"]
    assert [read_input(entry, Limits()) for entry in entries] == [b"one", b"two"] * 20


def test_paths_that_cannot_be_read_fail_with_their_photos(tmp_path):
    cells = [{"bytes": bytes([number]) * 100, "path": f"unique-{number}.png"} for number in range(4)]
    write_parquet(tmp_path / "p.parquet", cells, row_group_size=2, compression="none", use_dictionary=False)
    data = (tmp_path / "p.parquet").read_bytes()
    start = data.index(b"unique-2")
    (tmp_path / "p.parquet").write_bytes(data[: start - 40] + b"\xff" * 36 + data[start - 4 :])
    entries = list(find_images(str(tmp_path / "p.parquet"), "input"))
    assert [entry.key.rpartition("/")[2] for entry in entries] == [
        "00000000.png",
        "00000001.png",
        "00000002",
        "00000003",
    ]
    assert [read_input(entry, Limits()) for entry in entries[:2]] == [cell["bytes"] for cell in cells[:2]]
    for entry in entries[2:]:
        with pytest.raises(ImageError) as caught:
            read_input(entry, Limits())
        assert caught.value.code is ErrorCode.DAMAGED


@pytest.mark.parametrize("cell", [None, b"one", "a.png", {"bytes": None, "path": "a.png"}])
def test_few_bytes_that_stand_for_millions_of_rows_are_one_failed_photo(tmp_path, cell):
    """Listing them would take days, whatever they are."""
    cells = pa.array([cell] * 100_000, pa.binary() if cell is None else None)
    write_parquet(tmp_path / "p.parquet", cells, compression="zstd")
    assert (tmp_path / "p.parquet").stat().st_size < 5000
    (entry,) = find_images(str(tmp_path / "p.parquet"), "input")
    with pytest.raises(ImageError, match="cannot be listed"):
        read_input(entry, Limits())
    write_parquet(tmp_path / "p.parquet", cells[:10_000], compression="zstd")
    assert len(list(find_images(str(tmp_path / "p.parquet"), "input"))) == (1 if cell == "a.png" else 10_000)
