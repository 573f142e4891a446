import pytest

from pipeline import storage
from pipeline.errors import NothingFoundError, StorageError
from pipeline.plan import find_images

KEYS = ["a b.jpg", "deep/er/ü#1.PNG", "deep/x%20+.tif", "notes.txt"]


@pytest.fixture(params=["local", "s3", "memory"])
def folder(request, tmp_path):
    if request.param == "local":
        return str(tmp_path / "store")
    if request.param == "memory":
        return f"memory://{tmp_path.name}/store"
    request.getfixturevalue("s3")
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="photos")
    return f"s3://photos/{tmp_path.name}"


def test_put_read_names(folder):
    for key in KEYS:
        storage.put(storage.join(folder, key), key.encode())
    for key in KEYS:
        assert storage.read(storage.join(folder, key)) == key.encode()
    assert storage.names(folder) == {"a b.jpg", "deep", "notes.txt"}
    assert storage.names(storage.join(folder, "nothing")) == set()
    assert storage.exists(storage.join(folder, "notes.txt"))
    assert not storage.exists(storage.join(folder, "notes"))


def test_listing_a_folder_takes_images_and_a_glob_what_it_says(folder):
    for key in KEYS:
        storage.put(storage.join(folder, key), key.encode())
    found = storage.listing(folder)
    assert [entry.key for entry in found] == KEYS[:3]
    assert all(storage.read(entry.uri) == entry.key.encode() for entry in found)
    assert all(entry.size == len(entry.key.encode()) for entry in found)
    assert [entry.key for entry in storage.listing(folder + "/**/*.tif")] == ["deep/x%20+.tif"]
    assert [entry.key for entry in storage.listing(folder + "/*.txt")] == ["notes.txt"]
    assert [entry.key for entry in storage.listing(storage.join(folder, "a b.jpg"))] == ["a b.jpg"]


def test_listings_are_never_stale(folder):
    storage.put(storage.join(folder, "a.png"), b"1")
    before = storage.listing(folder)
    storage.put(storage.join(folder, "b.png"), b"2")
    storage.put(storage.join(folder, "a.png"), b"123")
    after = storage.listing(folder)
    assert len(before) == 1
    assert [entry.size for entry in after] == [3, 1]
    assert before[0] != after[0]


def test_create_lets_the_first_one_win_and_knows_its_own_work(folder):
    where = storage.join(folder, "commits", "00000.json")
    assert storage.create(where, b"mine")
    assert not storage.create(where, b"yours")
    assert storage.create(where, b"mine"), "the answer to the first write may have been lost"
    assert storage.read(where) == b"mine"


def test_nothing_half_written_is_left_behind(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    storage.put(str(tmp_path / "x"), b"old")
    monkeypatch.setattr(storage.os, "fsync", full)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    with pytest.raises(StorageError, match="No space left"):
        storage.put(str(tmp_path / "x"), b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_passing_faults_are_tried_again(tmp_path, monkeypatch):
    storage.put(str(tmp_path / "x"), b"data")
    real, calls = storage._open, []

    def flaky(uri):
        calls.append(uri)
        if len(calls) < 3:
            raise ConnectionResetError("reset by peer")
        return real(uri)

    monkeypatch.setattr(storage, "_open", flaky)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    assert storage.read(str(tmp_path / "x")) == b"data"
    assert len(calls) == 3


def test_what_cannot_be_listed_is_named(tmp_path, s3):
    with pytest.raises(StorageError, match="no such folder, bucket or file"):
        find_images(str(tmp_path / "nothing"), "input")
    with pytest.raises(StorageError, match=r"input s3://no-such-bucket/x.*no such"):
        find_images("s3://no-such-bucket/x", "input")
    with pytest.raises(NothingFoundError, match="no images found"):
        find_images(str(tmp_path), "input")
    with pytest.raises(StorageError, match="no such bucket"):
        storage.put("s3://no-such-bucket/x", b"")
    with pytest.raises(StorageError, match="nonsense"):
        find_images("nonsense://x/y", "input")


def test_results_are_never_input(tmp_path):
    for key in ("a.png", "enhanced/a.png", "enhanced2/b.png"):
        storage.put(str(tmp_path / key), b"x")
    found = find_images(str(tmp_path), "input", [str(tmp_path / "enhanced")])
    assert [entry.key for entry in found] == ["a.png", "enhanced2/b.png"]
