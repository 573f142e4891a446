"""Stored objects as seekable files: every read has its own retries, and storage faults are no corrupt files."""

import io
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import StorageError
from pipeline.runs.plan_file import read_shards, shards_to_parquet
from pipeline.runs.sharding import split_into_shards
from pipeline.sources.archives import read_tar_index
from pipeline.sources.discovery import discover_images
from pipeline.sources.parquet_column import _read_row_group
from pipeline.sources.reading import read_photo
from pipeline.storage import ranged_file
from pipeline.storage.objects import write
from pipeline.storage.ranged_file import open_ranged
from pipeline.storage.store import Entry

PHOTOS = {f"{number}.png": bytes([number]) * 40_000 for number in range(4)}


def make_tar():
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name, data in PHOTOS.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return file.getvalue()


def make_zip():
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in PHOTOS.items():
                archive.writestr(name, data)
        return file.getvalue()


def make_parquet():
    rows = [{"bytes": data, "path": name} for name, data in PHOTOS.items()]
    with io.BytesIO() as file:
        pq.write_table(pa.table({"image": rows}), file, row_group_size=2)
        return file.getvalue()


CONTAINERS = {"a.tar": make_tar, "a.zip": make_zip, "a.parquet": make_parquet}


@pytest.fixture(autouse=True)
def empty_caches(monkeypatch):
    read_tar_index.cache_clear()
    _read_row_group.cache_clear()
    monkeypatch.setattr("pipeline.storage.retries._sleep", lambda _: None)


class Flaky:
    """A file that breaks off at every second read, and has moved on by then."""

    def __init__(self, file):
        self.file, self.reads = file, 0
        self.seek, self.close = file.seek, file.close

    def read(self, length):
        self.reads += 1
        if self.reads % 2:
            self.file.read(length // 2)
            raise ConnectionResetError("reset by peer")
        return self.file.read(length)


@pytest.fixture
def flaky(monkeypatch):
    made, real = [], ranged_file._open_with_retries

    def opening(uri):
        made.append(Flaky(real(uri)))
        return made[-1]

    monkeypatch.setattr(ranged_file, "_open_with_retries", opening)
    return made


@pytest.mark.parametrize("name", CONTAINERS)
def test_read_that_breaks_off_is_retried(tmp_path, flaky, name):
    write(str(tmp_path / name), CONTAINERS[name]())
    found = {
        entry.key.rpartition("/")[2].lstrip("0"): read_photo(entry.uri)
        for entry in discover_images(str(tmp_path / name))
    }
    assert list(found.values()) == list(PHOTOS.values())
    assert sum(file.reads for file in flaky) >= 2


def test_plan_is_read_although_reads_break_off(tmp_path, flaky):
    shards = list(split_into_shards([Entry("u", f"k{number}", 1, "", 0.0) for number in range(9)], 4))
    write(str(tmp_path / "plan.parquet"), shards_to_parquet(shards))
    assert list(read_shards(str(tmp_path / "plan.parquet"))) == shards
    assert flaky[0].reads >= 2


@pytest.mark.parametrize("name", CONTAINERS)
def test_container_that_cannot_be_read_is_not_taken_for_corrupt(tmp_path, monkeypatch, name):
    class Dead(Flaky):
        def read(self, length):
            raise TimeoutError("no answer")

    real = ranged_file._open_with_retries
    monkeypatch.setattr(ranged_file, "_open_with_retries", lambda uri: Dead(real(uri)))
    write(str(tmp_path / name), CONTAINERS[name]())
    with pytest.raises(StorageError, match=f"{name}: TimeoutError: no answer"):
        list(discover_images(str(tmp_path / name)))


def test_open_ranged_reads_where_it_was_sought(tmp_path):
    data = bytes(range(256)) * 1000
    write(str(tmp_path / "x"), data)
    with open_ranged(str(tmp_path / "x")) as file:
        for start, length in ((200_000, 10), (3, 100_000), (255_990, 50), (0, 0)):
            file.seek(start)
            assert file.read(length) == data[start : start + length]
            assert file.tell() == min(len(data), start + length)
        assert file.seek(-6, io.SEEK_END) == 255_994
        assert file.read() == data[-6:]
    with pytest.raises(FileNotFoundError), open_ranged(str(tmp_path / "y")):
        pass


def test_open_ranged_reads_the_headers_of_a_tar_without_its_files(s3):
    """But for as much as storage sends in the time of a request."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="tars")
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for number in range(6):
                info = tarfile.TarInfo(f"{number}.tif")
                info.size = 12 * 2**20
                archive.addfile(info, io.BytesIO(bytes(info.size)))
        client.put_object(Bucket="tars", Key="scans.tar", Body=file.getvalue())
    with open_ranged("s3://tars/scans.tar") as found:
        raw = found.raw._file
        with tarfile.open(fileobj=found, mode="r:") as tar:
            assert len(tar.getmembers()) == 6
        assert raw.cache.total_requested_bytes < 32 * 2**20, "of 72"
    assert len(read_tar_index("s3://tars/scans.tar")) == 6


def test_file_that_its_reader_finds_corrupt_is_named(tmp_path):
    write(str(tmp_path / "x"), b"")
    with pytest.raises(StorageError, match=r"/x: not what it says"), open_ranged(str(tmp_path / "x")):
        raise OSError("not what it says")


def test_containers_are_read_over_faulty_s3(faulty_s3, s3):
    import boto3

    boto3.client("s3", endpoint_url=s3["AWS_ENDPOINT_URL"]).create_bucket(Bucket="ranged")
    for name, make in CONTAINERS.items():
        write(f"s3://ranged/{name}", make())
    faulty_s3.kinds, faulty_s3.rate = ("slow_down", "internal", "reset", "short"), 0.2
    for _ in range(10):
        for name in CONTAINERS:
            read_tar_index.cache_clear()
            _read_row_group.cache_clear()
            assert [read_photo(entry.uri) for entry in discover_images(f"s3://ranged/{name}")] == list(PHOTOS.values())
        if set(faulty_s3.injected) == set(faulty_s3.kinds):
            return
    pytest.fail(f"not every fault was met in {faulty_s3.requests} requests: {faulty_s3.injected}")
