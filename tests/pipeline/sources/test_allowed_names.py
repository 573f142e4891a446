"""What lists and Parquet files may name: theirs and what the job allows, whatever spelling leads elsewhere."""

import pytest

from pipeline.config.job import Limits
from pipeline.errors import ErrorCode, ImageError, NotAllowedError, StorageError
from pipeline.sources.allowed_names import is_below, resolve_name
from pipeline.sources.find import find_images
from pipeline.sources.reading import read_input
from pipeline.storage import join_uri, write
from tests.support.containers import write_parquet
from tests.support.http_server import run_web_server

BELOW = [
    ("s3://archive/lists/a.png", "s3://archive/lists/"),
    ("s3://archive/lists/a.png", "s3://archive/lists"),
    ("s3://archive/lists", "s3://archive/lists/"),
    ("S3://archive/lists/a.png", "s3://archive/lists/"),
    ("s3a://archive/lists/a.png", "s3://archive/lists/"),
    ("s3://archive/lists/b/../a.png", "s3://archive/lists/"),
    ("s3://archive/lists/./b//a.png", "s3://archive/lists/"),
    ("s3://archive/lists/a..png", "s3://archive/lists/"),
    ("s3://archive/lists/..a/b.png", "s3://archive/lists/"),
    ("s3://archive/lists/%2e%2e/a.png", "s3://archive/lists/"),  # no escape on S3
    ("s3://archive/lists/box.tar#0+5/../../x.png", "s3://archive/lists/"),  # the name of a member is none of a file
    ("s3://archive/x.png", "s3://archive"),
    ("s3://archive/x.png", "s3://"),
    ("/scans/a.png", "/scans"),
    ("file:///scans/a.png", "/scans/"),
    ("FILE:///scans/a.png", "file:///scans/"),
    ("/scans/a.png", "/"),
    ("memory:///archive/a.png", "memory://archive/"),
    ("https://host/lists/a.png?width=5", "https://host/lists/"),
    ("HTTPS://HOST:443/lists/a.png", "https://host/lists/"),
    ("https://host/%6Cists/a%20b.png", "https://host/lists/"),
    ("https://host/my lists/a.png", "https://host/my%20lists/"),
    ("https://host/other/../lists/a.png", "https://host/lists/"),
    ("https://host/a.png", "https://host"),
]
NOT_BELOW = [
    ("s3://archive/lists-private/a.png", "s3://archive/lists"),
    ("s3://archive/list", "s3://archive/lists"),
    ("s3://archive-2/lists/a.png", "s3://archive/lists/"),
    ("s3://archive-2/a.png", "s3://archive"),
    ("s3://archive", "s3://archive/lists"),
    ("s3://Archive/lists/a.png", "s3://archive/lists/"),
    ("s3://archive/Lists/a.png", "s3://archive/lists/"),
    ("s3://archive/lists/../a.png", "s3://archive/lists/"),
    ("s3://archive/lists/b/../../a.png", "s3://archive/lists/"),
    ("s3://archive/lists/../lists/a.png", "s3://archive/lists/"),
    ("s3://archive/lists/..\\a.png", "s3://archive/lists/"),
    ("s3://archive/private/../lists/a.png", "s3://archive/lists/"),
    ("s3://other/../archive/lists/a.png", "s3://archive/lists/"),
    ("s3://../archive/lists/a.png", "s3://archive/lists/"),
    ("s3://archive/lists/../box.tar#0+5/x.png", "s3://archive/lists/"),
    ("gs://archive/lists/a.png", "s3://archive/lists/"),
    ("memory://archive/lists/a.png", "s3://archive/lists/"),
    ("/etc/passwd", "s3://archive/lists/"),
    ("file:///etc/passwd", "s3://archive/lists/"),
    ("FILE:///etc/passwd", "s3://archive/lists/"),
    ("local:///etc/passwd", "/etc/"),
    ("/scans/../etc/passwd", "/scans"),
    ("/scans-2/a.png", "/scans"),
    ("https://host/lists/../secret.png", "https://host/lists/"),
    ("https://host/lists/%2e%2e/secret.png", "https://host/lists/"),
    ("https://host/lists/%252e%252e/secret.png", "https://host/lists/"),
    ("https://host/lists/..%2fsecret.png", "https://host/lists/"),
    ("https://host/lists/..%5csecret.png", "https://host/lists/"),
    ("https://host/lists/..\\secret.png", "https://host/lists/"),
    ("https://other/lists/a.png", "https://host/lists/"),
    ("https://host.other/lists/a.png", "https://host/lists/"),
    ("https://host@other/lists/a.png", "https://host/lists/"),
    ("https://other#@host/lists/a.png", "https://host/lists/"),
    ("https://other\\@host/lists/a.png", "https://host/lists/"),
    ("https://host:8443/lists/a.png", "https://host/lists/"),
    ("http://host/lists/a.png", "https://host/lists/"),
    ("http://169.254.169.254/latest/x.png", "http://host/lists/"),
    ("http://[::1]/lists/a.png", "http://host/lists/"),
    ("http:///lists/a.png", "http://host/lists/"),
    ("http://[x/lists/a.png", "http://host/lists/"),
]


@pytest.mark.parametrize(("uri", "prefix"), BELOW)
def test_uri_below_a_prefix_is_recognised_in_every_spelling(uri, prefix):
    assert is_below(uri, prefix)


@pytest.mark.parametrize(("uri", "prefix"), NOT_BELOW)
def test_uri_that_leads_elsewhere_is_not_below(uri, prefix):
    assert not is_below(uri, prefix)


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.png", "s3://other/a.png", "http://127.0.0.1:8265/x.png", "~/a"])
@pytest.mark.parametrize("container", ["/lists/a.txt", "file:///lists/a.txt", "/lists/a.parquet"])
def test_local_list_may_name_anything(container, name):
    assert resolve_name(name, container)


@pytest.mark.parametrize("container", ["/lists/a.txt", "s3://archive/a.txt"])
@pytest.mark.parametrize("name", ["zip://*.png::s3://archive/box.zip", "simplecache::s3://archive/a.png"])
def test_chained_name_is_refused_in_every_list(container, name):
    with pytest.raises(StorageError, match=r"a\.txt names .*URIs that are chained.* write s3://archive/.* alone"):
        resolve_name(name, container)


@pytest.fixture(params=["list", "column", "dictionary column"])
def name_photos(request):
    """Writes a list or a Parquet file of names into a folder; returns its URI."""
    import pyarrow as pa

    def write_names(folder, tmp_path, names):
        if request.param == "list":
            uri, data = join_uri(folder, "list.txt"), "\n".join(names).encode()
        else:
            cells = pa.array(names) if request.param == "column" else pa.array(names).dictionary_encode()
            uri, data = join_uri(folder, "list.parquet"), write_parquet(tmp_path / "x.parquet", cells).read_bytes()
        write(uri, data)
        return uri

    return write_names


@pytest.mark.parametrize("name", ["/etc/passwd", "file:///etc/passwd", "../secret.png", "memory://elsewhere/a.png"])
def test_list_in_a_store_names_only_what_lies_beside_it_or_is_allowed(tmp_path, name_photos, name):
    folder = f"memory://{tmp_path.name}/lists"
    write(join_uri(folder, "own.png"), b"own")
    uri = name_photos(folder, tmp_path, ["own.png", name])
    with pytest.raises(
        NotAllowedError, match=r"names .*(passwd|secret|elsewhere).*, which does not lie below .*allow:"
    ):
        list(find_images(uri, "input"))
    found = list(find_images(uri, "input", allow=["/etc/", f"memory://{tmp_path.name}", "memory://elsewhere/"]))
    assert len(found) == 2


def test_nothing_is_asked_of_a_server_that_may_not_be_named(tmp_path, web, name_photos):
    uri = name_photos(f"memory://{tmp_path.name}", tmp_path, [f"{web.url}/secret.png"])
    with pytest.raises(NotAllowedError):
        list(find_images(uri, "input"))
    assert web.requests == []
    web.files["/secret.png"] = b"photo"
    (entry,) = find_images(uri, "input", allow=[web.url])
    assert entry.size == 5 and entry.etag


def test_list_on_a_web_server_names_photos_of_that_server(web):
    with run_web_server() as internal:
        web.files |= {"/lists/a.png": b"own", "/lists/b.png": b"own", "/lists/photos.txt": b"a.png\n"}
        web.files["/lists/photos.txt"] += f"{web.url}/lists/b.png".encode()
        entries = list(find_images(f"{web.url}/lists/photos.txt", "input"))
        assert [read_input(entry, Limits()) for entry in entries] == [b"own"] * 2
        for name in (f"{internal.url}/x.png", f"{web.url}/x.png", "/etc/passwd", "//127.0.0.1/x.png"):
            web.files["/lists/photos.txt"] = name.encode()
            with pytest.raises(NotAllowedError):
                list(find_images(f"{web.url}/lists/photos.txt", "input"))
        assert internal.requests == []


def test_photo_of_a_list_that_redirects_to_another_server_fails(web):
    with run_web_server() as internal:
        internal.files["/x.png"] = b"secret"
        web.redirects["/a.png"] = f"{internal.url}/x.png"
        web.files["/photos.txt"] = b"a.png"
        (entry,) = find_images(f"{web.url}/photos.txt", "input")
        with pytest.raises(ImageError, match="another server") as caught:
            read_input(entry, Limits())
        assert caught.value.code is ErrorCode.READ_FAILED and internal.requests == []


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.png", "memory://elsewhere/a.png"])
def test_path_in_a_struct_is_followed_only_where_it_may_lead(tmp_path, path):
    folder = f"memory://{tmp_path.name}/data"
    cells = [{"bytes": None, "path": path}, {"bytes": b"own", "path": path}, {"bytes": None, "path": "own.png"}]
    write(join_uri(folder, "p.parquet"), write_parquet(tmp_path / "p.parquet", cells).read_bytes())
    write(join_uri(folder, "own.png"), b"beside")
    write("memory://elsewhere/a.png", b"elsewhere")
    entries = list(find_images(f"{folder}/p.parquet", "input"))
    assert [read_input(entry, Limits()) for entry in entries[1:]] == [b"own", b"beside"]
    with pytest.raises(ImageError, match="does not lie below") as caught:
        read_input(entries[0], Limits())
    assert caught.value.code is ErrorCode.NOT_ALLOWED and caught.value.code.retriable
    if path != "../secret.png":
        assert read_input(entries[0], Limits(), ["/etc", "memory://elsewhere"])
