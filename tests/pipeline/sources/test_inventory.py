"""An S3 Inventory lists what requests list: the same entries in the same order, from CSV and from Parquet."""

import random
import shutil
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import NothingFoundError, StorageError
from pipeline.sources import PassedOver, find_images, sorted_rows
from pipeline.sources.inventory import list_inventory
from pipeline.storage import Entry, read, write
from tests.support.inventories import COLUMNS, CONFIGURATION, InventoryRow, write_inventory

NAMES = [
    "a b.jpg",
    "a+b.jpg",
    "a%2Bb.jpg",
    'q"u,o\nte.jpg',
    "é/猫.png",
    "é/猫/🐈.tif",
    "z.jpg",
    "zz/",
    "in/x.jpg",
    "#1.jpg",
]
FORMATS = ["CSV", "Parquet"]
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6)
ROWS = st.lists(
    st.builds(
        InventoryRow,
        key=st.one_of(st.sampled_from(NAMES), TEXT, TEXT.map("in/{}".format)),
        size=st.integers(0, 2**40),
        etag=st.sampled_from(["", "0123", "0123-4"]),
        is_latest=st.just(True),
        is_delete_marker=st.just(False),
        bucket=st.just("photos"),
        mtime=st.integers(0, 2 * 10**12).map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)),
    ),
    max_size=30,
    unique_by=lambda row: row.key,
)


def list_all(uri, root="photos", below="/"):
    return list(list_inventory(uri, root, root + below, lambda path: True))


def entry_of(row, root=""):
    uri = f"s3://photos/{row.key}"
    return Entry(uri, row.key.removeprefix(root), row.size, row.etag, row.mtime.timestamp())


@pytest.fixture
def small_runs(monkeypatch):
    """Has rows sorted a few hundred bytes at a time, and each run read two rows at a time."""
    monkeypatch.setattr(sorted_rows, "MAX_RUN_BYTES", 300)
    monkeypatch.setattr(sorted_rows, "_BATCH_ROWS", 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(ROWS, st.integers(1, 4), st.sampled_from(FORMATS), st.randoms(use_true_random=False))
def test_any_rows_are_listed_in_the_order_of_their_keys(small_runs, tmp_path, rows, n_files, file_format, rng):
    """Old versions and delete markers, of keys that exist and of keys that do not, are left out."""
    shutil.rmtree(tmp_path, ignore_errors=True)
    old = [row._replace(size=7, is_latest=False) for row in rows[::2]]
    deleted = [InventoryRow(f"{row.key}.deleted", None, is_delete_marker=True) for row in rows[::3]]
    listed = [*rows, *old, *deleted, InventoryRow("always.jpg")]
    rng.shuffle(listed)
    uri = write_inventory(str(tmp_path), [listed[number::n_files] for number in range(n_files)], file_format)
    expected = [entry_of(row) for row in sorted([*rows, InventoryRow("always.jpg")]) if not row.key.endswith("/")]
    assert [entry._replace(uri="") for entry in list_all(uri)] == [entry._replace(uri="") for entry in expected]
    below = [entry_of(row, "in/") for row in sorted(rows) if row.key.startswith("in/") and not row.key.endswith("/")]
    if any(row.key.startswith("in/") for row in rows):
        found = list_all(uri, "photos/in")
        assert [entry._replace(uri="") for entry in found] == [entry._replace(uri="") for entry in below]


@pytest.mark.parametrize("file_format", FORMATS)
def test_inventory_lists_what_requests_list(s3, file_format):
    """Folders, globs, hidden files and exclusions included; and counts what is passed over."""
    bucket = f"photos-{file_format.lower()}"
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    names = [name for name in NAMES if "\n" not in name]  # moto's router has no such paths
    names += ["box/1.jpg", "box/2.tif", "box/notes.txt", "box/.hidden.jpg", "boxes/1.jpg", "box/deep/3.jpg"]
    for name in names:
        client.put_object(Bucket=bucket, Key=name, Body=name.encode())
    found = client.list_objects_v2(Bucket=bucket)["Contents"]
    rows = [
        InventoryRow(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"], bucket=bucket)
        for item in found
    ]
    random.Random(0).shuffle(rows)
    inventories = f"s3://{bucket}/inventories"
    inventory = write_inventory(inventories, [rows[:5], [], rows[5:]], file_format, sourceBucket=bucket)
    for path in ("box", "box/", "box*/*", "**/*.jpg", "é", "box/deep", ""):
        uri, listings = f"s3://{bucket}/{path}", []
        for given_inventory in (None, inventory):
            passed_over = PassedOver([inventories])
            photos = find_images(uri, "input", [], ["*2.tif"], (), passed_over, 1, given_inventory)
            listings.append((list(photos), passed_over.counts))
        assert listings[0] == listings[1] and listings[0][0]
    one = f"s3://{bucket}/box/1.jpg"
    assert [entry.uri for entry in find_images(one, "input", inventory=inventory)] == [one]
    with pytest.raises(StorageError, match=f"{inventory} lists nothing below s3://{bucket}/none/: check the prefix"):
        list(find_images(f"s3://{bucket}/none", "input", inventory=inventory))
    with pytest.raises(NothingFoundError, match="no images found"):
        list(find_images(f"s3://{bucket}/zz", "input", inventory=inventory))


@pytest.mark.parametrize("file_format", FORMATS)
def test_optional_columns_may_be_missing(tmp_path, file_format):
    row = InventoryRow("a.jpg", 5)
    uri = write_inventory(str(tmp_path), [[row]], file_format, ("Key", "Size", "ETag", "LastModifiedDate"))
    assert list_all(uri) == [entry_of(row)]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("column", ["Key", "Size", "ETag", "LastModifiedDate"])
def test_missing_column_is_named(tmp_path, file_format, column):
    columns = [each for each in COLUMNS if each != column]
    uri = write_inventory(str(tmp_path), [[InventoryRow("a.jpg")]], file_format, columns)
    with pytest.raises(StorageError, match=f"data/0.* has no column {column}: add it to the optional fields"):
        list_all(uri)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fileFormat": "ORC"}, "in the format ORC; deepot reads CSV and Parquet: set the output format"),
        ({"version": "2030-01-01"}, "has the version '2030-01-01'; deepot reads 2016-11-30 only"),
        ({"sourceBucket": "other"}, "lists the bucket other, but images are in photos: name an inventory of photos"),
        ({"files": [{"key": "elsewhere/data/0.parquet", "size": 1, "MD5checksum": ""}]}, "not below .*: keep the fold"),
        ({"files": [{"key": f"{CONFIGURATION}/../x", "size": 1, "MD5checksum": ""}]}, "not below .*: keep the folders"),
        ({"files": [{"key": f"{CONFIGURATION}/data/0.parquet"}]}, "not the manifest of an S3 Inventory .*'size'"),
        ({"files": None}, "is not the manifest of an S3 Inventory"),
        ({"creationTimestamp": "today"}, "is not the manifest of an S3 Inventory"),
    ],
)
def test_manifest_that_cannot_be_used_is_refused(tmp_path, changes, message):
    uri = write_inventory(str(tmp_path), [[InventoryRow("a.jpg")]], **changes)
    with pytest.raises(StorageError, match=f"inventory {uri}.*{message}"):
        list_all(uri)


def test_damaged_files_are_refused(tmp_path):
    """A manifest and files whose checksums are others, a file that is missing, and one that is no Parquet file."""
    uri = write_inventory(str(tmp_path), [[InventoryRow("a.jpg")]])
    data_uri = f"{tmp_path}/{CONFIGURATION}/data/0.parquet"
    data, manifest = read(data_uri), read(uri)
    write(uri, manifest + b" ")
    with pytest.raises(StorageError, match=r"has the MD5 \w+, but .*manifest.checksum states \w+; name the manifest"):
        list_all(uri)
    write(uri, manifest)
    for changed in (data[:-1], data[:-1] + b"\0"):
        write(data_uri, changed)
        with pytest.raises(StorageError, match=rf"{data_uri} has {len(changed)} bytes and the MD5 .*: copy it again"):
            list_all(uri)
    (tmp_path / CONFIGURATION / "data/0.parquet").unlink()
    with pytest.raises(StorageError, match=f"{data_uri} is missing: inventories expire"):
        list_all(uri)
    with pytest.raises(StorageError, match=r"there is no such file; name the manifest\.json"):
        list_all(f"{tmp_path}/manifest.json")
    uri = write_inventory(str(tmp_path), [[InventoryRow("a.jpg")]], "CSV", fileFormat="Parquet")
    with pytest.raises(StorageError, match=r"data/0.csv.gz cannot be read as Parquet"):
        list_all(uri)


def test_rows_that_contradict_the_manifest_are_refused(tmp_path):
    uri = write_inventory(str(tmp_path), [[InventoryRow("a.jpg"), InventoryRow("b.jpg", bucket="others")]])
    with pytest.raises(StorageError, match="it lists the bucket others, and the manifest photos"):
        list_all(uri)
    uri = write_inventory(str(tmp_path), [[InventoryRow("a.jpg")], [InventoryRow("a.jpg")]])
    with pytest.raises(StorageError, match=r"lists 'a.jpg' twice: include the fields IsLatest and IsDeleteMarker"):
        list_all(uri)
    uri = write_inventory(str(tmp_path), [[InventoryRow("a.jpg", None)]], "CSV")
    with pytest.raises(StorageError, match=r"0.csv.gz cannot be read as CSV"):
        list_all(uri)


def test_photos_outside_s3_are_not_listed_by_an_inventory(tmp_path):
    with pytest.raises(
        StorageError, match=f"{tmp_path} is listed by the inventory s3://x/manifest.json, but not on S3"
    ):
        list(find_images(str(tmp_path), "input", inventory="s3://x/manifest.json"))


def test_temporary_files_are_removed_when_the_listing_ends_or_is_closed(tmp_path, monkeypatch, small_runs):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    uri = write_inventory(str(tmp_path), [[InventoryRow(f"{number}.jpg") for number in range(50)]])
    assert len(list_all(uri)) == 50 and not any(folder.iterdir())
    listing = list_inventory(uri, "photos", "photos/", lambda path: True)
    next(listing)
    assert any(folder.iterdir())
    listing.close()
    assert not any(folder.iterdir())
