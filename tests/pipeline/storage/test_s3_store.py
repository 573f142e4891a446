"""S3: how many requests each call makes, buckets that do not exist, and names that only S3 can have."""

import socket
from collections import Counter

import boto3
import fsspec
import pytest
from s3fs import S3FileSystem

from pipeline.errors import AccessDeniedError, StorageError
from pipeline.runs.commits import list_committed_shards
from pipeline.runs.paths import RunPaths
from pipeline.storage import s3_store
from pipeline.storage.folders import exists, list_names
from pipeline.storage.listing import list_objects
from pipeline.storage.objects import is_case_insensitive, read, write
from pipeline.storage.resolve import resolve_filesystem
from tests.support.in_process_pool import run_in_process
from tests.support.listing_server import BUCKET, run_listing_server


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


@pytest.fixture
def listing_server(monkeypatch):
    """A server that holds keys and answers each page at once; clients made from now on use it."""
    S3FileSystem.clear_instance_cache()
    with run_listing_server([f"in/box {n // 70:03d}/scan+{n:05d} é.jpg" for n in range(2000)], max_keys=20) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(s3_store, "MAX_KEYS_PER_PAGE", 20)
        yield server
    S3FileSystem.clear_instance_cache()


def list_all(streams):
    return list(list_objects(f"s3://{BUCKET}/in/", lambda _: True, streams=streams))


def test_parallel_listing_has_the_entries_of_the_sequential_one(listing_server):
    listing_server.delay_s = 0.002
    one = list_all(1)
    n_pages = len(listing_server.queries)
    assert [entry.key for entry in one] == [key.removeprefix("in/") for key in listing_server.keys]
    assert n_pages == 100 and listing_server.most_at_once == 1
    for streams in (2, 16):
        listing_server.queries.clear()
        assert list_all(streams) == one
        assert n_pages < len(listing_server.queries) <= 2 * n_pages + 64
        assert 1 < listing_server.most_at_once <= streams


@pytest.mark.parametrize("n_keys", [1, 20, 21, 40])
def test_listing_of_two_pages_makes_no_further_requests(listing_server, n_keys):
    listing_server.keys = listing_server.keys[:n_keys]
    assert len(list_all(16)) == n_keys
    assert len(listing_server.queries) == -(-n_keys // 20)


def test_only_the_first_page_is_requested_until_its_keys_are_taken(listing_server):
    listing = list_objects(f"s3://{BUCKET}/in/", lambda _: True, streams=16)
    for _ in range(20):
        next(listing)
    assert len(listing_server.queries) == 1
    listing.close()


def test_endpoint_that_ignores_start_after_is_listed_page_by_page(listing_server, caplog):
    listing_server.heeds_start_after = False
    with caplog.at_level("INFO", "pipeline.storage"):
        entries = list_all(16)
    assert [entry.key for entry in entries] == [key.removeprefix("in/") for key in listing_server.keys]
    assert len(listing_server.queries) == 101 and listing_server.most_at_once == 1
    assert f"s3://{BUCKET}/in/ is listed page by page" in caplog.text and "StartAfter" in caplog.text


def test_error_of_one_stream_is_that_of_the_listing(listing_server):
    listing_server.fails = lambda query: "AccessDenied" if query.get("start-after", "") > "in/box 009" else None
    with pytest.raises(AccessDeniedError, match=f"s3://{BUCKET}/in/: access denied"):
        list_all(16)


def test_endpoint_that_sorts_only_some_pages_is_refused(listing_server):
    found = list_all(1)
    listing_server.keys[1500:1502] = listing_server.keys[1501:1499:-1]
    with pytest.raises(StorageError, match=r"is not the order of their names: (set list_streams to 1|name the photos)"):
        list_all(16)
    assert found


def test_listing_uses_more_connections_than_botocore_has_by_default(listing_server, monkeypatch):
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 7}})
    fs, _ = resolve_filesystem("s3://bucket/")
    assert fs.config_kwargs == {"max_pool_connections": 64, "read_timeout": 7}
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"max_pool_connections": 5}})
    assert resolve_filesystem("s3://bucket/")[0].config_kwargs == {"max_pool_connections": 5}
