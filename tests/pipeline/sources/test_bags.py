"""Bags that the Library of Congress's `bagit` makes and validates: the same payload, the same verdict on each file."""

import hashlib
import os
import random
import shutil
import unicodedata

import bagit
import pytest

from pipeline.config import parse_job
from pipeline.errors import ErrorCode, ImageError, StorageError
from pipeline.runs import read_manifest
from pipeline.sources import PassedOver, find_images, sorted_rows
from pipeline.stages import RunOptions, open_run
from tests.support.archive_photos import read_only_failure, read_verdicts
from tests.support.in_process_pool import run_in_process
from tests.support.stored_folders import store_folder, write_files

NAMES = ["a.jpg", "box 1/é.TIF", "box 1/猫.png", "100%25.jpg", "100%.jpg", "new\nline.png", "a.tar#1+2/b.jpg", " x.png"]
NO_PHOTOS = ["notes.txt", "._a.jpg", "raw/1.nef", "box 1/.hidden.jpg"]
ALGORITHMS = ["md5", "sha1", "sha256", "sha512"]


@pytest.fixture(autouse=True)
def small_runs(monkeypatch):
    """Has the lines of manifests sorted a few hundred bytes at a time."""
    monkeypatch.setattr(sorted_rows, "MAX_RUN_BYTES", 300)
    monkeypatch.setattr("pipeline.sources.bag_manifests._BATCH_ROWS", 2)
    monkeypatch.setattr("pipeline.sources.bag_manifests._READ_BYTES", 7)


def contents_of(names):
    return {name: name.encode() * 3 for name in names}


def make_bag(folder, names=(*NAMES, *NO_PHOTOS), algorithms=("sha256",)):
    """Make a bag of these payload files, which `bagit` finds valid; returns its folder."""
    write_files(folder, contents_of(names))
    bagit.make_bag(str(folder), checksums=list(algorithms)).validate()
    return folder


def is_valid(folder):
    """Whether `bagit` finds a bag valid."""
    try:
        bagit.Bag(str(folder)).validate()
    except bagit.BagError:
        return False
    return True


def verdicts(uri):
    return read_verdicts(f"bagit:{uri}")


def reason_of(uri):
    """The code and message of the only entry of an invalid bag."""
    key, error = read_only_failure(f"bagit:{uri}")
    assert key.endswith("bagit.txt")
    return error.code, str(error)


@pytest.mark.parametrize("seed", range(4))
def test_photos_of_a_bag_are_those_of_its_payload_with_the_strongest_checksums(storage_folder, tmp_path, seed):
    rng = random.Random(seed)
    names = rng.sample(NAMES, rng.randint(1, len(NAMES))) + NO_PHOTOS
    if storage_folder.startswith("s3:"):
        names = [name for name in names if "\n" not in name]  # moto's router has no such paths
    algorithms = rng.sample(ALGORITHMS, rng.randint(1, len(ALGORITHMS)))
    uri = store_folder(make_bag(tmp_path / "bag", names, algorithms), storage_folder)
    strongest = max(algorithms, key=ALGORITHMS.index)
    passed_over = PassedOver()
    photos = [name for name in names if name not in NO_PHOTOS]
    expected = {name: hashlib.new(strongest, name.encode() * 3).hexdigest() for name in sorted(photos)}
    entries = list(find_images(f"bagit:{uri}", "input", passed_over=passed_over))
    assert {entry.key: entry.etag for entry in entries} == {
        key: f"fixity:{strongest}:{digest}" for key, digest in expected.items()
    }
    assert [entry.key for entry in entries] == list(expected)
    assert all(entry.size == 3 * len(entry.key.encode()) for entry in entries)
    assert verdicts(uri) == contents_of(photos)
    assert passed_over.counts == {"raw": 1, "sidecar": 1, "hidden": 1, "system": 1}


def test_bags_below_a_folder_are_read_in_the_order_of_their_paths(storage_folder, tmp_path):
    for bag in ("b", "b-1", "deep/er/c", "deep/a.jpg"):
        make_bag(tmp_path / "bags" / bag, ["2.jpg", "1.jpg"])
    write_files(tmp_path / "bags", {"outside.jpg": b"1", "b/about.jpg": b"a tag file"})
    uri = store_folder(tmp_path / "bags", storage_folder)
    bags = ("b", "b-1", "deep/a.jpg", "deep/er/c")
    expected = {f"{bag}/{name}": contents_of([name])[name] for bag in bags for name in ("1.jpg", "2.jpg")}
    assert verdicts(uri) == expected
    assert list(verdicts(uri)) == sorted(expected)
    passed_over = PassedOver()
    assert len(list(find_images(f"bagit:{uri}", "input", [], ["b*"], (), passed_over))) == 4
    assert passed_over.counts == {"excluded": 4, "other": 2}, "an image outside of payloads is no photo"


def test_each_fault_is_found_in_the_file_in_which_bagit_finds_it(tmp_path):
    sound = make_bag(tmp_path / "sound", ["1.jpg", "2.jpg", "3.jpg"], ["md5", "sha512"])
    faults = {
        "changed": (lambda bag: (bag / "data/2.jpg").write_bytes(b"2.jpg2.jpg3.jpg"), {"2.jpg": "fixity"}),
        "truncated": (lambda bag: (bag / "data/2.jpg").write_bytes(b""), {"2.jpg": "fixity"}),
        "missing": (lambda bag: (bag / "data/2.jpg").unlink(), {"2.jpg": "missing"}),
        "added": (lambda bag: (bag / "data/4.jpg").write_bytes(b"4"), {"4.jpg": "fixity"}),
        "renamed": (
            lambda bag: (bag / "data/2.jpg").rename(bag / "data/0.jpg"),
            {"0.jpg": "fixity", "2.jpg": "missing"},
        ),
    }
    assert is_valid(sound) and verdicts(sound) == contents_of(["1.jpg", "2.jpg", "3.jpg"])
    for name, (spoil, expected) in faults.items():
        bag = shutil.copytree(sound, tmp_path / name)
        spoil(bag)
        assert not is_valid(bag)
        assert verdicts(bag) == contents_of(["1.jpg", "2.jpg", "3.jpg"]) | expected, name


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{digest}  data/../../secret.jpg", r"line 2 names 'data/\.\./\.\./secret.jpg', which has the part '\.\.'"),
        ("{digest}  data/a%2F..%0D/../x.jpg", "which has the part"),
        ("{digest}  data\\..\\..\\x.jpg", "which has the part"),
        ("{digest}  /etc/passwd.jpg", "line 2 names '/etc/passwd.jpg', which is an absolute path"),
        ("{digest}  C:\\scans\\x.jpg", "which is an absolute path"),
        ("{digest}  ~root/x.jpg", "which is an absolute path"),
        ("{digest}  bagit.jpg", "which does not lie below data/"),
        ("{digest}  data/", "which does not lie below data/"),
        ("{digest}  data/x\0.jpg", "which holds a character that cannot be stored"),
        ("{digest}0 data/x.jpg", "is no sha256 with a path"),
        ("data/x.jpg", "is no sha256 with a path: 'data/x.jpg'; make the manifest again"),
        ("{digest}  data/" + 5000 * "x" + ".jpg", "a path of more than 4096 bytes"),
        ("{digest}  data/" + 9000 * "x" + ".jpg", "a line of more than 5120 characters"),
    ],
)
def test_manifest_that_names_what_no_payload_has_fails_its_bag_alone(tmp_path, line, message):
    make_bag(tmp_path / "bags/a", ["1.jpg"])
    make_bag(tmp_path / "bags/b", ["1.jpg"])
    manifest = tmp_path / "bags/a/manifest-sha256.txt"
    manifest.write_text(manifest.read_text() + line.format(digest=64 * "0") + "\n")
    (tmp_path / "bags/a/tagmanifest-sha256.txt").unlink()
    code, text = reason_of(tmp_path / "bags/a")
    assert code is ErrorCode.INVALID_PACKAGE
    with pytest.raises(ImageError, match=message):
        raise ImageError(code, text)
    assert verdicts(tmp_path / "bags") == {"a/bagit.txt": "invalid_package", "b/1.jpg": 3 * b"1.jpg"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bagit.txt", b"BagIt-Version: 2.0\nTag-File-Character-Encoding: UTF-8\n", "the BagIt version '2.0'; versions"),
        ("bagit.txt", b"Tag-File-Character-Encoding: UTF-8\n", "states the BagIt version ''"),
        ("bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: zip\n", "states the encoding 'zip'"),
        ("bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: ascii\n", "not in the encoding ascii"),
        ("bagit.txt", b"\xff", "is no declaration of a bag"),
        ("bagit.txt", bytes(2**17), "is no declaration of a bag"),
        ("manifest-sha256.txt", b"", "has the sha256 .*, but the tag manifest states .*: restore the manifest"),
        ("manifest-sha256.txt", None, r"has no payload manifest of sha512, .*, md5 \(manifest-sha512.txt\)"),
    ],
)
def test_bag_that_breaks_the_rules_has_one_row_with_the_reason(tmp_path, name, content, message):
    bag = make_bag(tmp_path / "bag", ["é.jpg"])
    if content is None:
        (bag / name).rename(bag / "manifest-crc32.txt")
    else:
        (bag / name).write_bytes(content)
    code, text = reason_of(bag)
    assert code is ErrorCode.INVALID_PACKAGE
    with pytest.raises(ImageError, match=message):
        raise ImageError(code, text)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("other", [["z.jpg"], ["e.jpg", "ê.jpg", "z.jpg"]])
def test_names_in_another_unicode_form_than_in_the_manifest_are_found(tmp_path, form, other):
    """As on disks of macOS, which store NFC as NFD; `bagit` misses such files if the manifest is in NFD itself."""
    bag = make_bag(tmp_path / "bag", [unicodedata.normalize(form, "é.jpg"), *other])
    stored = {"NFC": "NFD", "NFD": "NFC"}[form]
    path = bag / "data" / unicodedata.normalize(form, "é.jpg")
    path.rename(path.with_name(unicodedata.normalize(stored, path.name)))
    assert len(os.listdir(bag / "data")) == 1 + len(other)
    assert is_valid(bag) == (form == "NFC")
    found = verdicts(bag)
    assert found.pop(unicodedata.normalize(form, "é.jpg")) == 3 * unicodedata.normalize(form, "é.jpg").encode()
    assert found == contents_of(other)


def test_percent_signs_that_a_manifest_encodes_are_decoded_if_no_file_has_the_encoded_name(tmp_path):
    bag = make_bag(tmp_path / "bag", ["100%.jpg", "a\rb.jpg"])
    manifest = bag / "manifest-sha256.txt"
    manifest.write_text(manifest.read_text().replace("100%.jpg", "100%25.jpg").replace("%0D", "%0d"))
    (bag / "tagmanifest-sha256.txt").unlink()
    assert verdicts(bag) == {"100%25.jpg": 3 * b"100%.jpg", "a\rb.jpg": 3 * b"a\rb.jpg"}


def test_manifests_of_several_tools_are_read(tmp_path):
    """Lines with an asterisk and a `./`, tabs, CRLF, capitals, a BOM; and a file that only the weaker one lists."""
    bag = make_bag(tmp_path / "bag", ["1.jpg", "2.jpg", "3.jpg"], ["md5", "sha256"])
    (bag / "tagmanifest-sha256.txt").unlink()
    (bag / "tagmanifest-md5.txt").unlink()
    digests = {name: hashlib.sha256(3 * name.encode()).hexdigest() for name in ("1.jpg", "2.jpg")}
    lines = f"\ufeff{digests['1.jpg'].upper()} *./data/1.jpg\r\n{digests['2.jpg']}\tdata//2.jpg\r\n\r\n"
    (bag / "manifest-sha256.txt").write_bytes(lines.encode())
    assert verdicts(bag) == contents_of(["1.jpg", "2.jpg", "3.jpg"])
    etags = [entry.etag.rpartition(":")[0] for entry in find_images(f"bagit:{bag}", "input")]
    assert etags == ["fixity:sha256", "fixity:sha256", "fixity:md5"]
    (bag / "manifest-sha256.txt").write_text(f"{digests['1.jpg']}  data/1.jpg\n{digests['2.jpg']}  data/1.jpg\n")
    assert verdicts(bag) == contents_of(["2.jpg", "3.jpg"]) | {"1.jpg": "fixity"}, "the manifest contradicts itself"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "UTF-8"])
def test_manifest_is_read_in_the_encoding_that_the_bag_states(tmp_path, encoding):
    bag = make_bag(tmp_path / "bag", ["é 1.jpg", "ü.jpg"])
    (bag / "tagmanifest-sha256.txt").unlink()
    (bag / "bagit.txt").write_text(f"BagIt-Version: 0.97\nTag-File-Character-Encoding: {encoding}\n")
    (bag / "manifest-sha256.txt").write_bytes((bag / "manifest-sha256.txt").read_text("utf-8").encode(encoding))
    assert verdicts(bag) == contents_of(["é 1.jpg", "ü.jpg"])


def test_nothing_that_fetch_txt_names_is_requested(tmp_path, web):
    web.files["/2.jpg"] = 3 * b"2.jpg"
    bag = make_bag(tmp_path / "bag", ["1.jpg", "2.jpg"])
    (bag / "data/2.jpg").unlink()
    (bag / "fetch.txt").write_text(f"{web.url}/2.jpg 15 data/2.jpg\n")
    assert verdicts(bag) == {"1.jpg": 3 * b"1.jpg", "2.jpg": "missing"}
    assert web.requests == []


def test_payload_behind_a_link_out_of_the_bag_is_not_read(tmp_path):
    outside = write_files(tmp_path / "outside", contents_of(["1.jpg", "2.jpg"]))
    bag = make_bag(tmp_path / "bag", ["1.jpg", "in/2.jpg", "in/3.jpg"])
    for name, target in {"1.jpg": outside / "1.jpg", "in/2.jpg": bag / "data/in/3.jpg"}.items():
        (bag / "data" / name).unlink()
        (bag / "data" / name).symlink_to(target)
    assert verdicts(bag) == {"1.jpg": "invalid_package", "in/2.jpg": "fixity", "in/3.jpg": 3 * b"in/3.jpg"}
    shutil.rmtree(bag / "data/in")
    (bag / "data/in").symlink_to(outside)
    assert verdicts(bag) == {"1.jpg": "invalid_package", "in/2.jpg": "invalid_package", "in/3.jpg": "missing"}


def test_what_is_no_bag_is_refused(tmp_path):
    write_files(tmp_path, {"scans/1.jpg": b"1"})
    with pytest.raises(
        StorageError, match=r"scans holds no BagIt bag: bagit.txt is .* leave out bagit: to read a plain"
    ):
        list(find_images(f"bagit:{tmp_path}/scans", "input"))
    with pytest.raises(StorageError, match=f"input bagit:{tmp_path}/none: there is no such folder"):
        list(find_images(f"bagit:{tmp_path}/none", "input"))
    with pytest.raises(StorageError, match="bagit:s3://b/bag is not listed by an inventory: leave out"):
        list(find_images("bagit:s3://b/bag", "input", inventory="s3://i/manifest.json"))


def test_temporary_files_are_removed_when_the_listing_ends_or_is_closed(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    bag = make_bag(tmp_path / "bag", [f"{number}.jpg" for number in range(9)])
    listing = find_images(f"bagit:{bag}", "input")
    next(listing)
    assert any(folder.iterdir())
    listing.close()
    assert len(list(find_images(f"bagit:{bag}", "input"))) == 9 and not any(folder.iterdir())


def test_local_path_after_the_prefix_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calibration = {"reference": "BagIt:n", "degradation": "blur:sigma=1"}
    job = parse_job({"input": "bagit:bags", "output": "out", "calibration": calibration})
    assert job.input.images == f"bagit:{tmp_path}/bags" and job.calibration.reference.images == f"bagit:{tmp_path}/n"


def test_run_over_a_bag_fails_the_damaged_photo_alone_until_it_is_restored(make_job, tmp_path):
    make_job()
    bag = tmp_path / "restored"
    bagit.make_bag(str(bag), checksums=["sha512"])
    damaged = min(bag.glob("data/**/*.png"))
    data, stamps = damaged.read_bytes(), (damaged.stat().st_atime_ns, damaged.stat().st_mtime_ns)
    damaged.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(damaged, ns=stamps)
    given = {"reference": str(tmp_path / "natural"), "degradation": "blur:sigma=1"}
    job = make_job(input=f"bagit:{bag}", calibration=given)
    run_in_process(job)
    context = open_run(job, RunOptions(allow_code=True))
    rows = {row["input_uri"]: row for row in read_manifest(context.run).to_pylist()}
    assert [row["error_code"] for uri, row in sorted(rows.items())] == ["fixity", *[None] * (len(rows) - 1)]
    assert rows[str(damaged)]["output_uri"] is None and "restore the file" in rows[str(damaged)]["error_message"]
    damaged.write_bytes(data)
    os.utime(damaged, ns=stamps)
    run_in_process(job, RunOptions(allow_code=True, retry_failed=True))
    assert {row["status"] for row in read_manifest(context.run).to_pylist()} == {"ok"}
