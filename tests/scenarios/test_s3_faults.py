"""Storage over an S3 that throttles, breaks off, hangs and loses answers: nothing is lost, doubled or incomplete."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from s3fs import S3FileSystem

from pipeline.errors import StorageError
from pipeline.sources.discovery import list_images
from pipeline.storage import folders, listing
from pipeline.storage import objects as storage
from tests.support.s3_fault_proxy import FAULT_KINDS

ODD_KEYS = [
    "a b.png",
    "ü/日本.png",
    "x#1.png",
    "50%25 off.png",
    "a+b.png",
    "q?x=1&y.png",
    "[1]*.png",
    "~'\"!$(),;=@.png",
    "long/" + "n" * 991 + ".png",
]


@pytest.fixture
def bucket(faulty_s3, s3):
    name = f"b-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=s3["AWS_ENDPOINT_URL"]).create_bucket(Bucket=name)
    return f"s3://{name}"


def exercise_storage(proxy, bucket, name, writers=8):
    """Write, create twice, read and list through the proxy: every object is complete, every create has one winner."""
    data = bytes(range(256)) * 200
    keys = [f"{name}-{number}" for number in range(writers)]
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(lambda key: storage.write(f"{bucket}/{key}", data), keys))
        won = list(pool.map(lambda key: storage.create_if_absent(f"{bucket}/c/{name}/{key}", key.encode()), keys))
        lost = list(pool.map(lambda key: storage.create_if_absent(f"{bucket}/c/{name}/{key}", b"another"), keys))
        read = list(pool.map(lambda key: storage.read(f"{bucket}/{key}"), keys))
    assert all(won) and not any(lost)
    assert all(found == data for found in read)
    assert folders.list_names(f"{bucket}/c/{name}") == set(keys)


def test_storage_survives_every_kind_of_fault(faulty_s3, bucket):
    """A fifth of the requests fails, until every kind of fault has occurred."""
    assert storage.supports_conditional_create(bucket)
    faulty_s3.rate, faulty_s3.timeout_s = 0.2, 1.3
    for turn in range(20):
        exercise_storage(faulty_s3, bucket, f"turn {turn}")
        if set(faulty_s3.injected) == set(FAULT_KINDS):
            return
    pytest.fail(f"not every fault occurred in {faulty_s3.requests} requests: {faulty_s3.injected}")


@pytest.mark.soak
@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_storage_survives_one_kind_of_fault_for_long(faulty_s3, bucket, kind, record_fault):
    assert storage.supports_conditional_create(bucket)
    faulty_s3.kinds, faulty_s3.rate, faulty_s3.timeout_s = (kind,), 0.2, 1.3
    with record_fault(f"S3, 20 % of the requests: {kind.replace('_', ' ')}", has_rows=False) as tally:
        for turn in range(5):
            exercise_storage(faulty_s3, bucket, f"turn {turn}")
        tally.injected = faulty_s3.injected[kind]
        assert tally.injected > 0


def test_create_whose_answer_was_lost_is_recognised_as_ones_own(faulty_s3, bucket, monkeypatch):
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    monkeypatch.setattr("pipeline.storage.retries._sleep", lambda _: None)
    assert storage.supports_conditional_create(bucket)
    faulty_s3.kinds, faulty_s3.rate = ("lost_answer",), 1.0
    with pytest.raises(StorageError):
        storage.create_if_absent(f"{bucket}/commit", b"mine")
    faulty_s3.rate = 0.0
    assert storage.read(f"{bucket}/commit") == b"mine"
    assert storage.create_if_absent(f"{bucket}/commit", b"mine")
    assert not storage.create_if_absent(f"{bucket}/commit", b"yours")


@pytest.mark.parametrize("answer", ["ignored", "501"])
def test_endpoint_without_conditional_create_is_detected(faulty_s3, bucket, answer):
    faulty_s3.forwards_conditions, faulty_s3.rejects_conditions = answer != "ignored", answer == "501"
    assert not storage.supports_conditional_create(bucket)
    assert storage.create_if_absent(f"{bucket}/x", b"1")
    assert not storage.create_if_absent(f"{bucket}/x", b"2")
    assert storage.read(f"{bucket}/x") == b"1"
    assert folders.list_names(bucket) == {"x"}, "the probe is deleted"


def test_unusual_keys_are_created_listed_and_deleted(faulty_s3, bucket):
    for key in ODD_KEYS:
        assert storage.create_if_absent(f"{bucket}/in/{key}", key.encode())
        assert not storage.create_if_absent(f"{bucket}/in/{key}", b"other")
    found = list(list_images(f"{bucket}/in"))
    assert [entry.key for entry in found] == sorted(ODD_KEYS)
    assert all(storage.read(entry.uri) == entry.key.encode() for entry in found)
    for entry in found:
        assert folders.exists(entry.uri)
        storage.delete(entry.uri)
        storage.delete(entry.uri)
    assert list(listing.iter_files(f"{bucket}/in")) == []
