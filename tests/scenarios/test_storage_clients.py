"""What the real client libraries of gs://, az://, hf:// and http:// raise, against a server on loopback."""

import asyncio
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import fsspec
import pytest

from pipeline.config import Limits
from pipeline.errors import AccessDeniedError, ErrorCode, ImageError, StorageError
from pipeline.sources import read_input
from pipeline.storage import (
    Entry,
    create_if_absent,
    delete,
    exists,
    iter_files,
    open_ranged,
    read,
    read_range,
    retries,
    write,
)
from pipeline.storage import stat as stat_object
from tests.support.cloud_server import ACCOUNT, run_cloud_server

DATA = b"0123456789" * 10
PACKAGES = {"gs": "gcsfs", "az": "adlfs", "hf": "huggingface_hub", "http": "aiohttp"}
CLIENT_PACKAGES = {*PACKAGES.values(), "azure", "fsspec"}
CREDENTIALS = {
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_CONNECTION_STRING",
    "hf": "HF_TOKEN",
    "http": "FSSPEC_HTTP",
}
TRANSIENT_FAULTS = [429, 500, 502, 503, 504, "reset", "truncated"]


@contextmanager
def open_client(protocol, monkeypatch):
    """Give the server, the URI of an object in it, and a list of the waits between deepot's own attempts."""
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # it would ask a gRPC service, too
    pytest.importorskip(PACKAGES[protocol])
    fs_class = fsspec.get_filesystem_class(protocol)
    with run_cloud_server() as cloud:
        cloud.objects["a/photo.png"] = DATA
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.url)
        monkeypatch.setenv(
            "AZURE_STORAGE_CONNECTION_STRING",
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey=Zm9v;BlobEndpoint={cloud.url}/{ACCOUNT};",
        )
        monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
        monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": cloud.url, "token": False})
        waits = []
        monkeypatch.setattr(retries, "_sleep", waits.append)
        _skip_waits_of_clients(monkeypatch)
        uri = {
            "gs": "gs://bucket/a/photo.png",
            "az": "az://bucket/a/photo.png",
            "hf": "hf://datasets/me/photos/a/photo.png",
            "http": f"{cloud.url}/files/a/photo.png",
        }[protocol]
        fs_class.clear_instance_cache()
        yield SimpleNamespace(cloud=cloud, uri=uri, waits=waits, protocol=protocol)
        fs_class.clear_instance_cache()


def _skip_waits_of_clients(monkeypatch):
    """Let the retries of the libraries themselves wait for nothing.

    What else waits in this process, such as a thread that another file of tests has left, would run without a pause.
    """
    real_sleep, real_async_sleep = time.sleep, asyncio.sleep

    def is_client():
        return sys._getframe(2).f_globals["__name__"].partition(".")[0] in CLIENT_PACKAGES

    monkeypatch.setattr(time, "sleep", lambda seconds: real_sleep(0 if is_client() else seconds))
    monkeypatch.setattr(
        asyncio, "sleep", lambda seconds, *given: real_async_sleep(0 if is_client() else seconds, *given)
    )


@pytest.fixture(params=["gs", "az", "hf", "http"])
def client(request, monkeypatch):
    with open_client(request.param, monkeypatch) as opened:
        yield opened


@pytest.fixture(params=["gs", "az"])
def writable_client(request, monkeypatch):
    with open_client(request.param, monkeypatch) as opened:
        yield opened


def test_object_is_read_whole_and_in_ranges(client):
    assert read(client.uri) == DATA
    assert read_range(client.uri, 5, 8) == b"567"
    assert exists(client.uri) and stat_object(client.uri).size == len(DATA)
    with open_ranged(client.uri) as file:
        file.seek(95)
        assert file.read(20) == b"56789"


@pytest.mark.parametrize("fault", TRANSIENT_FAULTS)
def test_request_that_fails_once_is_repeated(client, fault):
    read(client.uri)
    client.cloud.fail(fault, times=1)
    assert read(client.uri) == DATA


@pytest.mark.parametrize("fault", TRANSIENT_FAULTS)
def test_request_that_always_fails_is_a_failure_to_read(client, fault):
    read(client.uri)
    client.cloud.fail(fault)
    with pytest.raises(StorageError) as caught:
        read(client.uri)
    assert not isinstance(caught.value, AccessDeniedError)
    assert str(caught.value).startswith(f"{client.uri}: ") and len(client.waits) == retries.MAX_ATTEMPTS - 1
    with pytest.raises(ImageError) as of_photo:
        read_input(Entry(client.uri, "photo.png", len(DATA), "", 0), Limits())
    assert of_photo.value.code is ErrorCode.READ_FAILED


def test_server_that_is_gone_is_a_failure_to_read(client):
    read(client.uri)
    client.cloud.close()
    for call in (read, exists):
        client.waits.clear()
        with pytest.raises(StorageError, match=r"(?i)connect|refused"):
            call(client.uri)
        assert len(client.waits) == retries.MAX_ATTEMPTS - 1


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_is_not_repeated_and_names_what_the_store_reads(client, status):
    read(client.uri)
    client.cloud.fail(status)
    for call in (read, exists, lambda uri: read_range(uri, 5, 8)):
        with pytest.raises(AccessDeniedError) as caught:
            call(client.uri)
        assert str(caught.value).startswith(f"{client.uri}: access denied on ")
        assert CREDENTIALS[client.protocol] in str(caught.value)
    assert not client.waits
    with pytest.raises(ImageError) as of_photo:
        read_input(Entry(client.uri, "photo.png", len(DATA), "", 0), Limits())
    assert of_photo.value.code is ErrorCode.ACCESS_DENIED


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_of_the_first_request_is_not_taken_for_a_missing_object(client, status):
    client.cloud.fail(status)
    for call in (read, exists, stat_object):
        with pytest.raises(AccessDeniedError):
            call(client.uri)


@pytest.mark.parametrize("fault", [503, "reset"])
def test_failure_of_the_first_request_is_not_taken_for_a_missing_object(client, fault):
    client.cloud.fail(fault)
    for call in (read, exists, stat_object):
        with pytest.raises(StorageError):
            call(client.uri)


def test_missing_object_is_not_found(client):
    missing = client.uri.replace("photo", "another")
    assert not exists(missing)
    for call in (read, stat_object):
        with pytest.raises(FileNotFoundError):
            call(missing)
    read(client.uri)
    client.cloud.objects.clear()  # since it was listed
    with pytest.raises(FileNotFoundError):
        read(client.uri)


@pytest.mark.parametrize("start", [len(DATA), len(DATA) + 5, 10**9])
def test_range_beyond_the_end_has_no_bytes(client, start):
    assert read_range(client.uri, start, start + 10) == b""
    with open_ranged(client.uri) as file:
        file.seek(start)
        assert file.read(5) == b""


@pytest.mark.parametrize("fault", [503, "reset", 403])
def test_listing_that_fails_is_an_error_of_storage(client, fault):
    client.cloud.fail(fault)
    with pytest.raises(AccessDeniedError if fault == 403 else StorageError):
        list(iter_files(client.uri.rpartition("/")[0]))


@pytest.mark.parametrize("fault", [429, 503, "reset"])
def test_write_that_fails_once_is_repeated(writable_client, fault):
    new = writable_client.uri + ".new"
    writable_client.cloud.fail(fault, times=1)
    write(new, b"result")
    assert read(new) == b"result"
    delete(new)
    delete(new)
    assert not exists(new) and create_if_absent(new, b"one") and not create_if_absent(new, b"other")


@pytest.mark.parametrize(("fault", "error"), [(503, StorageError), (401, AccessDeniedError), (403, AccessDeniedError)])
def test_write_that_always_fails_is_an_error_of_storage(writable_client, fault, error):
    writable_client.cloud.fail(fault)
    for call in (write, create_if_absent):
        with pytest.raises(error, match=r"^\w+://bucket/a/photo.png"):
            call(writable_client.uri, b"result")


def test_bucket_that_does_not_exist_is_named_when_it_is_written_to(writable_client):
    with pytest.raises(
        StorageError, match=r"nothing can be written to .*://nosuch: there is no such bucket; create it"
    ):
        write(f"{writable_client.protocol}://nosuch/x", b"result")


def test_hub_in_offline_mode_says_so(monkeypatch):
    with open_client("hf", monkeypatch) as client:
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        for call in (read, exists, stat_object):
            with pytest.raises(StorageError, match=r"a/photo\.png: OfflineModeIsEnabled: .*HF_HUB_OFFLINE"):
                call(client.uri)
        assert not client.waits and not client.cloud.requests


@pytest.mark.parametrize("protocol", ["gs", "gcs", "az", "abfs", "hf", "oci"])
def test_library_that_is_not_installed_is_named_with_its_package(protocol, monkeypatch):
    package = {"gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "oci": "ocifs"}.get(protocol, "adlfs")
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)
    with pytest.raises(StorageError, match=rf"^{protocol}://bucket/x: .* run pip install {package}$"):
        read(f"{protocol}://bucket/x")
    with pytest.raises(StorageError, match=f"pip install {package}"):
        list(iter_files(f"{protocol}://bucket"))


def test_azure_without_an_account_says_what_to_set(monkeypatch):
    adlfs = pytest.importorskip("adlfs")
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    adlfs.AzureBlobFileSystem.clear_instance_cache()
    with pytest.raises(AccessDeniedError, match="AZURE_STORAGE_CONNECTION_STRING"):
        read("az://bucket/x")
