"""Files on a disk: atomic and durable writes, names of any bytes, symbolic links, and poor file systems."""

import errno
import os
import socket
import stat

import pytest

from pipeline.errors import ErrorCode, NotAFileError, StorageError, TooLargeError
from pipeline.failures import error_code
from pipeline.maintenance.verify import verify_run
from pipeline.progress import NullProgress
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.storage import local_store, probes
from pipeline.storage.listing import iter_files
from pipeline.storage.objects import (
    create_if_absent,
    find_link_out,
    is_case_insensitive,
    read,
    read_range,
    supports_conditional_create,
    write,
)
from pipeline.storage.ranged_file import open_ranged
from tests.support.in_process_pool import run_in_process


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("pipeline.storage.retries._sleep", lambda _: None)


def test_write_on_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    write(str(tmp_path / "x"), b"old")
    monkeypatch.setattr(local_store.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write(str(tmp_path / "x"), b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["日" * 83 + ".png", "é" * 125 + ".png", "a" * 251 + ".png"])
def test_write_accepts_every_name_that_fits(tmp_path, name):
    uri = str(tmp_path / name)
    write(uri, b"x")
    assert create_if_absent(uri, b"x") and read(uri) == b"x"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_write_of_a_name_that_is_too_long_is_not_retried(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.storage.retries._sleep", lambda _: pytest.fail("it waits"))
    with pytest.raises(StorageError, match="too long") as caught:
        write(str(tmp_path / ("a" * 256)), b"x")
    assert error_code(caught.value, ErrorCode.WRITE_FAILED) is ErrorCode.UNSAFE_NAME


def test_write_syncs_new_names_with_their_folders(tmp_path, monkeypatch):
    """A rename or link is lost in a power failure until its folder is synced, and new folders with it."""
    real, synced = os.fsync, []

    def fsync(handle):
        synced.append(os.readlink(f"/proc/self/fd/{handle}").removeprefix(str(tmp_path)))
        real(handle)

    monkeypatch.setattr(local_store.os, "fsync", fsync)
    monkeypatch.setitem(probes._PROBE_RESULTS, str(tmp_path / "run" / "commits"), True)
    for put in (write, create_if_absent):
        synced.clear()
        put(str(tmp_path / "out" / "deep" / "a.png") if put is write else f"{tmp_path}/run/commits/0", b"x")
        made = {"/out", "/out/deep"} if put is write else {"/run", "/run/commits"}
        assert {place for place in synced if not place.endswith(".partial")} == made | {""}
        assert synced[-1] == max(made, key=len), "the folder, after the rename or link"
    synced.clear()
    write(str(tmp_path / "out" / "deep" / "b.png"), b"x")
    assert [place for place in synced if not place.endswith(".partial")] == ["/out/deep"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_write_where_folders_cannot_be_synced_succeeds(tmp_path, monkeypatch, code):
    real = os.fsync

    def fsync(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr(local_store.os, "fsync", fsync)
    write(str(tmp_path / "new" / "x"), b"data")
    assert read(str(tmp_path / "new" / "x")) == b"data"


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK])
def test_create_where_there_are_no_hard_links_checks_and_writes(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(local_store.os, "link", refuse)
    assert not supports_conditional_create(str(tmp_path))
    assert create_if_absent(str(tmp_path / "x"), b"1")
    assert not create_if_absent(str(tmp_path / "x"), b"2")
    assert read(str(tmp_path / "x")) == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_probe_that_fails_is_repeated(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "a broken cable")

    with monkeypatch.context() as patch:
        patch.setattr(local_store.os, "link", fail)
        with pytest.raises(StorageError, match="a broken cable"):
            supports_conditional_create(str(tmp_path))
    assert supports_conditional_create(str(tmp_path))


def test_write_into_a_folder_that_cannot_be_created_names_it():
    with pytest.raises(StorageError, match=r"the folder /proc/none/deep cannot be created"):
        write("/proc/none/deep/x", b"")


def test_disk_that_finds_names_in_other_letters_is_case_insensitive(tmp_path, monkeypatch):
    def lexists(path):
        folder, name = os.path.split(path)
        return name.casefold() in {each.casefold() for each in os.listdir(folder)}

    monkeypatch.setattr(local_store.os.path, "lexists", lexists)
    assert is_case_insensitive(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_listing_follows_no_symbolic_links(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for path in (tmp_path / "in" / "real", tmp_path / "elsewhere" / "secret"):
        path.write_bytes(b"x")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "elsewhere" / "secret")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    assert [entry.key for entry in iter_files(str(tmp_path / "in"))] == ["real"]


def test_listing_goes_on_after_a_folder_that_was_deleted_meanwhile(tmp_path):
    for key in ("a.png", "b/1.png", "c.png"):
        write(str(tmp_path / key), b"x")
    found = []
    for entry in iter_files(str(tmp_path)):
        found.append(entry.key)
        if entry.key == "a.png":
            (tmp_path / "b" / "1.png").unlink()
            (tmp_path / "b").rmdir()
    assert found == ["a.png", "c.png"]


LATIN = [b"caf\xe9.png", b"stra\xdfe/\xfc.png", "own \uf7e9.png".encode(), "é.png".encode(), "\uff21.png".encode()]


@pytest.mark.filterwarnings("ignore:Glyph")  # matplotlib's, for any name that its font has no letters for
def test_names_that_are_not_utf8_are_done_like_others(tmp_path, make_job):
    """Latin-1 in a folder, as an old disk has it: results under the same bytes, rows in text that can be stored."""
    job = make_job(1)
    folder = os.fsencode(tmp_path / "restored")
    data = (tmp_path / "restored" / "sub" / "photo 00.png").read_bytes()
    for name in LATIN:
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
    keys = [entry.key for entry in iter_files(str(tmp_path / "restored"))]
    assert keys == sorted(keys) and len(keys) == 1 + len(LATIN)
    result = run_in_process(job)
    assert (result.ok, result.failed) == (6, 0)
    for name in LATIN:
        assert os.path.exists(os.path.join(os.fsencode(tmp_path / "enhanced"), name)), name
    assert {row["file_name"] for row in read_manifest(RunPaths(result.run)).to_pylist()} == set(keys)
    assert not verify_run(RunPaths(result.run), NullProgress()).findings
    assert run_in_process(job).done_now == 0


def make_special_file(path, kind):
    """Make what is no regular file; returns its path."""
    if kind == "device":
        return "/dev/zero"
    if kind == "link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))  # names of sockets are short
    return str(path)


@pytest.mark.timeout(60)  # a FIFO that is opened waits for a writer
@pytest.mark.parametrize("kind", ["device", "link to a device", "FIFO", "socket", "folder"])
@pytest.mark.parametrize(
    "read_file",
    [read, lambda uri: read(uri, 100), lambda uri: read_range(uri, 0, 10), lambda uri: open_ranged(uri).__enter__()],
)
def test_what_is_no_regular_file_is_not_read(tmp_path, monkeypatch, kind, read_file):
    monkeypatch.chdir(tmp_path)
    path = make_special_file(tmp_path / "x.png", kind)
    with pytest.raises(NotAFileError, match=rf"{path} is a {kind.rpartition(' ')[2]}, not a file"):
        read_file(path)


def test_file_that_claims_to_be_empty_is_read_up_to_the_limit():
    """Files of /proc have no size."""
    with open("/proc/self/mountinfo", "rb") as file:
        content = file.read()
    assert read("/proc/self/mountinfo", 2**20)[:20] == content[:20]
    with pytest.raises(TooLargeError, match="has more than 20 bytes"):
        read("/proc/self/mountinfo", 20)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o000])
@pytest.mark.parametrize("permissions", [None, 0o000, 0o040, 0o600, 0o640, 0o604, 0o644, 0o666, 0o400, 0o444, 0o755])
def test_write_gives_no_more_than_the_permissions_and_umask(tmp_path, umask, permissions, mask, monkeypatch):
    """Not even to the temporary file; its owner may read it in any case, as results are verified."""
    seen, real = [], local_store.os.replace

    def replace(temporary, path):
        seen.append(stat.S_IMODE(os.stat(temporary).st_mode))
        real(temporary, path)

    monkeypatch.setattr(local_store.os, "replace", replace)
    umask(mask)
    for _ in range(2):
        write(str(tmp_path / "x"), b"data", permissions)
    allowed = 0o666 if permissions is None else permissions & 0o666 | 0o400
    assert seen == [allowed & ~mask] * 2
    assert stat.S_IMODE(os.stat(tmp_path / "x").st_mode) == allowed & ~mask


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("permissions", [None, 0o000, 0o600, 0o640, 0o755])
def test_create_gives_no_more_than_the_permissions_and_umask(tmp_path, umask, permissions, has_links, monkeypatch):
    monkeypatch.setitem(probes._PROBE_RESULTS, str(tmp_path), has_links)
    umask(0o022)
    assert create_if_absent(str(tmp_path / "x"), b"data", permissions)
    allowed = 0o666 if permissions is None else permissions & 0o666 | 0o400
    assert stat.S_IMODE(os.stat(tmp_path / "x").st_mode) == allowed & ~0o022


@pytest.mark.parametrize(
    ("way", "link"),
    [
        ("a/x.png", ""),
        ("in/x.png", ""),
        ("a/deep/x.png", ""),
        ("out/x.png", "out"),
        ("out/deep/er/x.png", "out"),
        ("up/x.png", "up"),
        ("a/out/x.png", "a/out"),
        ("in/out/x.png", "in/out"),
        ("dangling/x.png", "dangling"),
        ("out", ""),
        ("out-beside/x.png", "out-beside"),
    ],
)
def test_find_link_out_finds_links_that_leave_the_folder(tmp_path, way, link):
    folder = tmp_path / "folder"
    for name in ("folder/a", "elsewhere", "folder-2"):
        (tmp_path / name).mkdir(parents=True)
    for name, target in {
        **{"out": tmp_path / "elsewhere", "a/out": "../../elsewhere", "in": "a", "up": ".."},
        **{"dangling": "/no/such/place", "out-beside": "../folder-2"},
    }.items():
        (folder / name).symlink_to(target)
    (tmp_path / "way").symlink_to(folder)
    for root in (folder, tmp_path / "way"):
        assert find_link_out(f"{root}/{way}", str(root)) == (link and f"{root}/{link}")
