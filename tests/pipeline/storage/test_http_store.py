"""The contract of `ObjectStore` as far as it is about reading, over a web server, and what only those do."""

import asyncio

import pytest

from pipeline.errors import StorageError, TooLargeError
from pipeline.storage import iter_files, list_objects, open_ranged, read, read_range, stat
from pipeline.storage.http_session import _GuardedResolver
from pipeline.storage.http_store import HttpStore
from pipeline.storage.resolve import resolve_store
from tests.support.http_server import run_web_server

DATA = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("pipeline.storage.retries._sleep", lambda _: None)


@pytest.fixture
def photo(web):
    web.files["/scans/a.png"] = DATA
    return f"{web.url}/scans/a.png"


@pytest.fixture(params=["complete", "no ranges", "no HEAD", "no lengths"])
def lacking(request, web):
    """The server in all conditions."""
    web.has_ranges = request.param != "no ranges"
    web.has_head = request.param != "no HEAD"
    web.has_lengths = request.param != "no lengths"
    return request.param


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_web_addresses_have_their_store(scheme):
    store, path = resolve_store(f"{scheme}://host/a.png?width=5")
    assert isinstance(store, HttpStore) and path == store.to_uri(path) == f"{scheme}://host/a.png?width=5"


def test_read_returns_the_body(web, photo, lacking):
    web.files["/empty"] = b""
    assert read(photo) == read(photo, len(DATA)) == DATA
    assert read(f"{web.url}/empty") == read(f"{web.url}/empty", 10) == b""


def test_read_range_ends_at_the_end_of_the_body(web, lacking):
    for name, content in {"/full": b"0123456789", "/empty": b""}.items():
        web.files[name] = content
        for start, end in ((0, 10), (4, 20), (4, 6), (10, 20), (12, 20), (3, 3)):
            assert read_range(web.url + name, start, end) == content[start:end]


@pytest.mark.parametrize("request_file", [read, stat, lambda uri: read_range(uri, 0, 9)])
def test_missing_file_raises(web, request_file):
    for status in (404, 410):
        web.statuses["/none.png"] = status
        with pytest.raises(FileNotFoundError):
            request_file(f"{web.url}/none.png")


@pytest.mark.parametrize("request_file", [read, stat])
def test_refused_file_is_not_taken_for_a_missing_one(web, request_file):
    web.statuses["/secret.png"] = 403
    with pytest.raises(StorageError, match=r"secret.png: access denied on .*the server refuses it \(403"):
        request_file(f"{web.url}/secret.png")
    assert len(web.requests) <= 2, "it is not asked again"


def test_open_reads_where_it_was_sought(photo, web):
    web.has_head = False
    with open_ranged(photo) as file:
        for start, length in ((200_000, 10), (3, 100_000), (255_990, 50), (0, 0)):
            file.seek(start)
            assert file.read(length) == DATA[start : start + length]
        assert file.seek(-6, 2) == len(DATA) - 6


def test_open_of_a_file_without_a_length_is_refused(photo, web):
    web.has_lengths = False
    with (
        pytest.raises(StorageError, match=r"does not give the length of this file, .*: download it"),
        open_ranged(photo),
    ):
        pass


def test_stat_has_size_etag_and_date_where_the_server_gives_them(photo, web, lacking):
    found = stat(photo)
    assert found.uri == photo
    if lacking == "no lengths":
        assert found[2:] == (0, "", 0.0)
    else:
        assert (found.size, found.mtime) == (len(DATA), web.mtime) and len(found.etag) >= 8
        web.files["/scans/a.png"] = b"something else"
        assert stat(photo)[2:4] != found[2:4]
    assert web.sent == 0


def test_endless_body_is_cut_off_at_the_limit(web):
    web.endless.add("/endless.png")
    with pytest.raises(TooLargeError, match=r"endless\.png has more than 100000 bytes"):
        read(f"{web.url}/endless.png", 100_000)
    assert read_range(f"{web.url}/endless.png", 5, 50_005) == bytes(50_000)
    assert web.sent < 64 * 2**20, "buffers of the network aside"


def test_endless_page_of_links_is_cut_off(web, monkeypatch):
    monkeypatch.setattr("pipeline.storage.http_session.MAX_PAGE_BYTES", 100_000)
    web.endless.add("/scans/")
    with pytest.raises(StorageError, match="the page has more than 100000 bytes"):
        list(iter_files(f"{web.url}/scans/"))
    assert web.sent < 64 * 2**20


@pytest.mark.parametrize("place", ["other port", "other name", "not a URL", "https"])
@pytest.mark.parametrize("request_file", [read, stat, lambda uri: list(list_objects(uri.rpartition("a.png")[0], bool))])
def test_redirect_to_another_server_is_refused_and_not_followed(web, photo, place, request_file):
    with run_web_server() as internal:
        port = internal.url.rpartition(":")[2]
        internal.files["/secret"] = b"secret"
        web.redirects["/scans/a.png"] = web.redirects["/scans/"] = {
            "other port": f"{internal.url}/secret",
            "other name": f"http://localhost:{port}/secret",
            "not a URL": "http://[x",
            "https": photo.replace("http://", "https://"),
        }[place]
        with pytest.raises(StorageError, match=r"another server than the one that was named: if you trust it, name"):
            request_file(photo)
        assert internal.requests == [] and len(web.requests) <= 2


def test_redirect_within_a_server_is_followed(web, photo):
    web.redirects |= {"/old.png": "/scans/a.png", "/older.png": photo, "/folder": "/folder/"}
    web.files["/folder/"] = b""
    assert read(f"{web.url}/old.png") == read(f"{web.url}/older.png") == DATA
    assert stat(f"{web.url}/old.png").size == len(DATA)
    with pytest.raises(FileNotFoundError):
        stat(f"{web.url}/folder")


@pytest.fixture
def addresses(monkeypatch):
    """Addresses of every name, in place of those of a name server."""
    found = []

    async def resolve(self, host, port=0, family=0):
        return [
            {"hostname": host, "host": each, "port": port, "family": family, "proto": 0, "flags": 0} for each in found
        ]

    monkeypatch.setattr("aiohttp.DefaultResolver.resolve", resolve)
    monkeypatch.setattr("pipeline.storage.http_session._PUBLIC_HOSTS", set())
    return found


def resolve_photos():
    async def resolve():
        resolver = _GuardedResolver()
        try:
            return [each["host"] for each in await resolver.resolve("photos.example")]
        finally:
            await resolver.close()

    return asyncio.run(resolve())


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.5", "192.168.1.9", "::1", "fd00::1", "::ffff:10.0.0.5"])
def test_name_of_a_public_server_never_leads_into_a_network(addresses, inside):
    """Whoever answers for a name could lead its second request elsewhere; intranets have names too."""
    addresses[:] = [inside]
    assert resolve_photos() == [inside]
    addresses[:] = ["93.184.215.14", inside]
    assert resolve_photos() == ["93.184.215.14"]
    addresses[:] = [inside]
    with pytest.raises(
        StorageError, match=r"photos\.example had a public address and now leads to .*, inside a network"
    ):
        resolve_photos()


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1%eth0", "::ffff:169.254.169.254", "0.0.0.0"])
def test_name_of_a_link_local_address_is_refused(addresses, address):
    addresses[:] = [address]
    with pytest.raises(StorageError, match=r"the name metadata\.example leads to the link-local address"):
        read("http://metadata.example/latest/meta-data/x.png")


def test_question_mark_is_no_glob(web):
    web.files |= {"/photo?id=1": b"one", "/photo?id=2": b"two"}
    (entry,) = list_objects(f"{web.url}/photo?id=1", bool)
    assert (entry.key, entry.size, read(entry.uri)) == ("photo?id=1", 3, b"one")


def test_page_of_links_stands_for_a_folder(web):
    web.files |= {"/scans/": b'<a href="b.png">b</a> <a href="a.png">a</a> <a href="notes.md">notes</a>'}
    web.files |= {"/scans/a.png": b"one", "/scans/b.png": b"two two"}
    for uri in (f"{web.url}/scans/", f"{web.url}/scans/*.png"):
        entries = list(list_objects(uri, lambda path: path.endswith(".png")))
        assert [(entry.key, entry.size, entry.mtime) for entry in entries] == [
            ("a.png", 3, web.mtime),
            ("b.png", 7, web.mtime),
        ]
        assert all(entry.etag for entry in entries)
