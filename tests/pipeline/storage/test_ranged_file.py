"""Files that are read in parts: every read is tried again by itself, and what is wrong is said of the file."""

import io
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import StorageError
from pipeline.runs.plan_file import read_shards, shards_to_parquet
from pipeline.runs.sharding import split_into_shards
from pipeline.sources import discovery as containers
from pipeline.sources import members
from pipeline.sources.discovery import discover_images
from pipeline.sources.members import read_photo
from pipeline.storage import ranged_file as parts
from pipeline.storage.objects import Entry, write
from pipeline.storage.ranged_file import open_ranged

PHOTOS = {f"{number}.png": bytes([number]) * 40_000 for number in range(4)}


def tar():
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name, data in PHOTOS.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return file.getvalue()


def box():
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in PHOTOS.items():
                archive.writestr(name, data)
        return file.getvalue()


def column():
    rows = [{"bytes": data, "path": name} for name, data in PHOTOS.items()]
    with io.BytesIO() as file:
        pq.write_table(pa.table({"image": rows}), file, row_group_size=2)
        return file.getvalue()


CONTAINERS = {"a.tar": tar, "a.zip": box, "a.parquet": column}


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    containers.read_tar_index.cache_clear()
    members._read_row_group.cache_clear()
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


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
    made, real = [], parts._open_with_retries

    def opening(uri):
        made.append(Flaky(real(uri)))
        return made[-1]

    monkeypatch.setattr(parts, "_open_with_retries", opening)
    return made


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_read_that_breaks_off_is_made_again(tmp_path, flaky, name):
    write(str(tmp_path / name), CONTAINERS[name]())
    found = {
        entry.key.rpartition("/")[2].lstrip("0"): read_photo(entry.uri)
        for entry in discover_images(str(tmp_path / name))
    }
    assert list(found.values()) == list(PHOTOS.values())
    assert sum(file.reads for file in flaky) >= 2


def test_a_plan_is_read_through_breaks(tmp_path, flaky):
    shards = list(split_into_shards([Entry("u", f"k{number}", 1, "", 0.0) for number in range(9)], 4))
    write(str(tmp_path / "plan.parquet"), shards_to_parquet(shards))
    assert list(read_shards(str(tmp_path / "plan.parquet"))) == shards
    assert flaky[0].reads >= 2


@pytest.mark.parametrize("name", CONTAINERS)
def test_what_cannot_be_read_is_not_taken_for_damaged(tmp_path, monkeypatch, name):
    class Dead(Flaky):
        def read(self, length):
            raise TimeoutError("no answer")

    real = parts._open_with_retries
    monkeypatch.setattr(parts, "_open_with_retries", lambda uri: Dead(real(uri)))
    write(str(tmp_path / name), CONTAINERS[name]())
    with pytest.raises(StorageError, match=f"{name}: TimeoutError: no answer"):
        list(discover_images(str(tmp_path / name)))


def test_a_file_is_read_where_it_is_asked(tmp_path):
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


def test_containers_over_faulty_s3(faulty_s3, s3):
    import boto3

    boto3.client("s3", endpoint_url=s3["AWS_ENDPOINT_URL"]).create_bucket(Bucket="parts")
    for name, make in CONTAINERS.items():
        write(f"s3://parts/{name}", make())
    faulty_s3.kinds, faulty_s3.rate = ("slow_down", "internal", "reset", "short"), 0.2
    for _ in range(10):
        for name in CONTAINERS:
            containers.read_tar_index.cache_clear()
            members._read_row_group.cache_clear()
            assert [read_photo(entry.uri) for entry in discover_images(f"s3://parts/{name}")] == list(PHOTOS.values())
        if set(faulty_s3.injected) == set(faulty_s3.kinds):
            return
    pytest.fail(f"not every fault was met in {faulty_s3.requests} requests: {faulty_s3.injected}")
