"""S3: how many requests each call makes, buckets that do not exist, and names that only S3 can have."""

import socket
from collections import Counter

import boto3
import pytest
from s3fs import S3FileSystem

from pipeline.errors import StorageError
from pipeline.runs.commits import list_committed_shards
from pipeline.runs.paths import RunPaths
from pipeline.storage import s3_store
from pipeline.storage.folders import exists, list_names
from pipeline.storage.listing import list_objects
from pipeline.storage.objects import is_case_insensitive, read, write
from tests.support.in_process_pool import run_in_process


@pytest.fixture
def requests(monkeypatch):
    """Requests to S3, counted by their names."""
    seen, real, real_sync = Counter(), S3FileSystem._call_s3, S3FileSystem.call_s3

    async def call(self, method, *arguments, **options):
        seen[method] += 1
        return await real(self, method, *arguments, **options)

    def call_sync(self, method, *arguments, **options):
        seen[method] += 1
        return real_sync(self, method, *arguments, **options)

    monkeypatch.setattr(S3FileSystem, "_call_s3", call)
    monkeypatch.setattr(S3FileSystem, "call_s3", call_sync)
    return seen


def make_bucket(name):
    client = boto3.client("s3")
    client.create_bucket(Bucket=name)
    return client


def test_missing_bucket_has_no_names_and_takes_no_objects(s3):
    assert list_names("s3://no-such-bucket") == list_names("s3://no-such-bucket/x") == set()
    assert not exists("s3://no-such-bucket/x/y")
    with pytest.raises(StorageError, match=r"nothing can be written to s3://no-such-bucket: there is no such bucket"):
        write("s3://no-such-bucket/x", b"")


def test_list_names_holds_one_page_at_a_time(s3, requests, monkeypatch):
    client = make_bucket("many")
    run = RunPaths("s3://many/run")
    for number in range(7):
        write(run.commit(number), b"{}")
    client.put_object(Bucket="many", Key="run/commits/", Body=b"")  # as consoles make a folder
    monkeypatch.setattr(s3_store, "MAX_KEYS_PER_PAGE", 3)
    monkeypatch.setattr(S3FileSystem, "ls", None)
    requests.clear()
    assert list_committed_shards(run) == set(range(7))
    assert requests == {"list_objects_v2": 3}


def test_exists_makes_one_request_in_a_folder_of_any_size(s3, requests):
    client = make_bucket("flat")
    for number in range(20):
        client.put_object(Bucket="flat", Key=f"out/{number}.jpg", Body=b"")
    write("s3://flat/out/_owner.json", b"{}")
    requests.clear()
    assert exists("s3://flat/out/_owner.json")
    assert requests == {"head_object": 1}, "a folder of a hundred million photos is not listed for it"


def test_case_is_known_without_a_request(s3, requests):
    assert not is_case_insensitive("s3://any/folder")
    assert requests == {}


def test_listing_with_a_slash_at_the_end_takes_the_folder(s3):
    """S3 may have an object of the same name beside it."""
    client = make_bucket("marked")
    for key in ("photos", "photos/", "photos/a.png", "photos/a.png/b.png"):
        client.put_object(Bucket="marked", Key=key, Body=b"x")
    found = list_objects("s3://marked/photos/", lambda _: True)
    assert [entry.key for entry in found] == ["a.png", "a.png/b.png"]
    (file,) = list_objects("s3://marked/photos", lambda _: False)
    assert (file.uri, file.key, file.size) == ("s3://marked/photos", "photos", 1)


def test_photo_and_folder_of_one_name_fail_on_a_disk_only(s3, make_job, tmp_path):
    """On a disk one of them has no place; another attempt will not change that."""
    client = make_bucket("both")
    job = make_job(input={"images": "s3://both/in"})
    photo = (tmp_path / "restored" / "photo 01.png").read_bytes()
    for key in ("in/a.png", "in/a.png/b.png", "in/c.png"):
        client.put_object(Bucket="both", Key=key, Body=photo)
    result = run_in_process(job)
    assert (result.ok, result.codes) == (2, {"unsafe_name": 1})
    assert run_in_process(make_job(input={"images": "s3://both/in"}, output={"uri": "s3://both/out"})).ok == 3


def test_endpoint_that_does_not_answer_is_named_with_its_variable(monkeypatch):
    for key, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("pipeline.storage.retries._sleep", lambda _: None)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        S3FileSystem.clear_instance_cache()
        with pytest.raises(
            StorageError, match=r"nothing answers at http://127.0.0.1:\d+, which AWS_ENDPOINT_URL names"
        ):
            read("s3://bucket/photo.png")
    S3FileSystem.clear_instance_cache()
