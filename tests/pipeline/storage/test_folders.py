"""Folders of very many objects: names come as a stream, and one question tells whether something is there."""

import io
import tarfile
from collections import Counter

import boto3
import pytest
from s3fs import S3FileSystem

from pipeline.runs.commits import list_committed_shards
from pipeline.runs.paths import RunPaths
from pipeline.sources.discovery import list_images, read_tar_index
from pipeline.storage import folders
from pipeline.storage.objects import join_uri, write
from pipeline.storage.ranged_file import open_ranged
from tests.support.in_process_pool import run_in_process

KEYS = ["a.json", "b/c.json", "b/d/e.json", "f", "g h#1.json"]


@pytest.fixture
def asked(monkeypatch):
    """Requests to S3, by their names."""
    seen, real, at_once = Counter(), S3FileSystem._call_s3, S3FileSystem.call_s3

    async def call(self, method, *arguments, **options):
        seen[method] += 1
        return await real(self, method, *arguments, **options)

    def call_at_once(self, method, *arguments, **options):
        seen[method] += 1
        return at_once(self, method, *arguments, **options)

    monkeypatch.setattr(S3FileSystem, "_call_s3", call)
    monkeypatch.setattr(S3FileSystem, "call_s3", call_at_once)
    return seen


def test_names_are_those_right_below_however_many_pages(storage_folder, monkeypatch):
    monkeypatch.setattr(folders, "MAX_KEYS_PER_PAGE", 2)
    for key in KEYS:
        write(join_uri(storage_folder, key), b"x")
    assert (
        folders.list_names(storage_folder)
        == folders.list_names(storage_folder + "/")
        == {"a.json", "b", "f", "g h#1.json"}
    )
    assert folders.list_names(join_uri(storage_folder, "b")) == {"c.json", "d"}
    assert folders.list_names(join_uri(storage_folder, "none")) == set()
    there = [
        name for name in [*KEYS, "b", "b/d", "none", "b/x", "a.jso"] if folders.exists(join_uri(storage_folder, name))
    ]
    assert there == [*KEYS, "b", "b/d"]


def test_names_of_a_bucket_that_is_not_there(s3):
    assert folders.list_names("s3://no-such-bucket") == folders.list_names("s3://no-such-bucket/x") == set()
    assert not folders.exists("s3://no-such-bucket/x/y")


def test_many_commits_are_not_held_but_for_their_numbers(s3, asked, monkeypatch):
    client = boto3.client("s3")
    client.create_bucket(Bucket="many")
    run = RunPaths("s3://many/run")
    for number in range(7):
        write(run.commit(number), b"{}")
    client.put_object(Bucket="many", Key="run/commits/", Body=b"")  # as consoles make a folder
    monkeypatch.setattr(folders, "MAX_KEYS_PER_PAGE", 3)
    monkeypatch.setattr(S3FileSystem, "ls", None)
    asked.clear()
    assert list_committed_shards(run) == set(range(7))
    assert asked == {"list_objects_v2": 3}


def test_one_question_tells_whether_something_is_there(s3, asked):
    client = boto3.client("s3")
    client.create_bucket(Bucket="flat")
    for number in range(20):
        client.put_object(Bucket="flat", Key=f"out/{number}.jpg", Body=b"")
    write("s3://flat/out/_owner.json", b"{}")
    asked.clear()
    assert folders.exists("s3://flat/out/_owner.json")
    assert asked == {"head_object": 1}, "a folder of a hundred million photos is not listed for it"


def test_a_slash_behind_it_says_that_it_is_a_folder(s3):
    """S3 may have an object of the same name beside it."""
    client = boto3.client("s3")
    client.create_bucket(Bucket="marked")
    for key in ("photos", "photos/", "photos/a.png", "photos/a.png/b.png"):
        client.put_object(Bucket="marked", Key=key, Body=b"x")
    assert [entry.key for entry in list_images("s3://marked/photos/")] == ["a.png", "a.png/b.png"]


def test_the_headers_of_a_tar_are_read_without_its_photos(s3):
    """But for as much as storage gives while a request waits."""
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


def test_a_photo_and_a_folder_of_one_name_are_two_things_to_s3_alone(s3, make_job, tmp_path):
    """On a disk one of them has no place; another try will not change that."""
    client = boto3.client("s3")
    client.create_bucket(Bucket="both")
    job = make_job(input={"images": "s3://both/in"})
    photo = (tmp_path / "restored" / "photo 01.png").read_bytes()
    for key in ("in/a.png", "in/a.png/b.png", "in/c.png"):
        client.put_object(Bucket="both", Key=key, Body=photo)
    result = run_in_process(job)
    assert (result.ok, result.codes) == (2, {"unsafe_name": 1})
    assert run_in_process(make_job(input={"images": "s3://both/in"}, output={"uri": "s3://both/out"})).ok == 3
