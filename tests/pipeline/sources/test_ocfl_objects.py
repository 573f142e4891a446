"""OCFL objects that `ocfl-py` makes and validates: the photos of the head version, the same verdict on each file."""

import hashlib
import json
import random
import shutil

import ocfl
import pytest

from pipeline.errors import ImageError, StorageError
from pipeline.sources import PassedOver, find_images
from tests.support.archive_photos import read_only_failure, read_verdicts
from tests.support.ocfl_roots import add_version, hashed_path, is_valid_object, make_object
from tests.support.stored_folders import store_folder, write_files

NAMES = ["a.jpg", "box 1/é.TIF", "box 1/猫.png", "100%25.jpg", "a.tar#1+2/b.jpg", "x y.png", "b.jpg", "copy of a.jpg"]


def verdicts(uri):
    return read_verdicts(f"ocfl:{uri}")


def reason_of(uri):
    """The message of the only entry of an invalid object."""
    key, error = read_only_failure(f"ocfl:{uri}")
    assert error.code == "invalid_package" and key.rpartition("/")[2].startswith("0=ocfl_object_")
    return str(error)


def random_versions(rng):
    """States of an object: files are added, changed, removed, renamed, and two may have the same contents."""
    contents = {}
    for _ in range(rng.randint(1, 4)):
        for name in rng.sample(NAMES, rng.randint(1, 5)):
            contents[name] = rng.choice([name.encode(), b"the same", rng.randbytes(9)])
        for name in rng.sample(sorted(contents), rng.randint(0, len(contents) - 1)):
            contents[rng.choice(NAMES)] = contents.pop(name)
        yield dict(contents)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("algorithm", ["sha512", "sha256"])
def test_photos_of_an_object_are_those_of_its_head_version(storage_folder, tmp_path, seed, algorithm):
    versions = list(random_versions(random.Random(seed)))
    options = {"spec": "1.0"} if seed % 2 else {"content_directory": "files", "dedupe": seed != 2}
    folder = make_object(tmp_path / "object", versions, algorithm=algorithm, **options)
    assert is_valid_object(folder)
    uri = store_folder(folder, storage_folder)
    entries = list(find_images(f"ocfl:{uri}", "input"))
    expected = {
        name: f"fixity:{algorithm}:{hashlib.new(algorithm, data).hexdigest()}" for name, data in versions[-1].items()
    }
    assert {entry.key: entry.etag for entry in entries} == expected
    assert [entry.size for entry in entries] == [len(versions[-1][entry.key]) for entry in entries]
    assert verdicts(uri) == versions[-1]


@pytest.mark.parametrize("layout", ["0002", "0003", "flat-quoted", "0004"])
def test_objects_of_a_root_in_any_layout_are_read_in_the_order_of_their_paths(tmp_path, layout):
    root, identifiers = tmp_path / "root", [f"info{number}" for number in range(5)]
    names = {"0002": "0002-flat-direct-storage-layout", "0003": "0003-hash-and-id-n-tuple-storage-layout"}
    storage = ocfl.StorageRoot(root=str(root), layout_name=names.get(layout, "flat-quoted"))
    storage.initialize()
    contents = {}
    for identifier in identifiers:
        made = make_object(
            tmp_path / identifier, [{"1.jpg": b"old", "notes.txt": b"-"}, {"1.jpg": identifier.encode()}], identifier
        )
        if layout == "0004":
            path = hashed_path(identifier)
            shutil.copytree(made, root / path)
        else:
            path = storage.add(object_path=str(made))[1]
        contents[f"{path}/1.jpg"] = identifier.encode()
    passed_over = PassedOver()
    assert len(list(find_images(f"ocfl:{root}", "input", passed_over=passed_over))) == len(identifiers)
    assert passed_over.counts == {}, "notes.txt is not in the head version"
    assert verdicts(root) == contents and list(verdicts(root)) == sorted(contents)


def test_each_fault_is_found_in_the_file_in_which_ocfl_finds_it(tmp_path):
    contents = {f"{name}.jpg": 3 * name.encode() for name in "123"}
    sound = make_object(tmp_path / "sound", [contents | {"old.jpg": b"old"}, contents])
    content = "v1/content/2.jpg"
    faults = {
        "changed": (lambda folder: (folder / content).write_bytes(b"223"), "fixity"),
        "truncated": (lambda folder: (folder / content).write_bytes(b""), "fixity"),
        "missing": (lambda folder: (folder / content).unlink(), "missing"),
    }
    assert is_valid_object(sound) and verdicts(sound) == contents
    for name, (spoil, code) in faults.items():
        folder = shutil.copytree(sound, tmp_path / name)
        spoil(folder)
        assert not is_valid_object(folder)
        assert verdicts(folder) == contents | {"2.jpg": code}, name


def rewrite(folder, change):
    """Change the inventory of an object, and its sidecar with it."""
    inventory = json.loads((folder / "inventory.json").read_bytes())
    changed = change(inventory) or inventory
    data = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    (folder / "inventory.json").write_bytes(data)
    (folder / "inventory.json.sha512").write_text(f"{hashlib.sha512(data).hexdigest()} inventory.json\n")


def state_of(inventory):
    return inventory["versions"][inventory["head"]]["state"]


def rename(path):
    def change(inventory):
        state = state_of(inventory)
        state[min(state)] = [path]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename("../secret.jpg"), r"the path '\.\./secret.jpg' is absolute, or has an empty part or one of dots"),
        (rename("/etc/passwd.jpg"), "the path '/etc/passwd.jpg' is absolute"),
        (rename("a/./b.jpg"), "is absolute, or has an empty part"),
        (rename("a\\..\\..\\b.jpg"), "is absolute, or has an empty part"),
        (rename("a\0.jpg"), "cannot be stored"),
        (rename("a\ud800.jpg"), "cannot be stored"),
        (rename(5000 * "a"), "cannot be stored, or has more than 4096 bytes"),
        (rename(7), "the path '7' cannot be stored"),
        (
            lambda inventory: inventory["manifest"].update({digest: ["../x.jpg"] for digest in inventory["manifest"]}),
            r"\.\./x",
        ),
        (lambda inventory: inventory["manifest"].clear(), "which the manifest does not have"),
        (lambda inventory: state_of(inventory).update({"0" * 128: ["1.jpg"]}), "has '1.jpg' twice"),
        (lambda inventory: inventory.update(head="v9"), "it lacks 'v9'"),
        (lambda inventory: inventory.pop("manifest") and None, "it lacks 'manifest'"),
        (lambda inventory: inventory.update(digestAlgorithm="md5"), "digestAlgorithm is 'md5'; the standard has"),
        (lambda inventory: inventory.update(digestAlgorithm="sha256"), "or none of its sidecar"),
        (lambda inventory: b"[]", "it is no JSON object"),
        (lambda inventory: b"{", "is not the inventory of an OCFL object"),
        (lambda inventory: b"[" * 200_000, "is not the inventory of an OCFL object"),
        (lambda inventory: b'{"digestAlgorithm": "sha512", "manifest": [], "versions": {}, "head": 1}', "is not the"),
    ],
)
def test_inventory_that_breaks_the_rules_fails_its_object_alone(tmp_path, change, message):
    folder = make_object(tmp_path / "root/a", [{"1.jpg": b"1"}])
    make_object(tmp_path / "root/b", [{"1.jpg": b"1"}])
    shutil.rmtree(tmp_path / "root/a.source")
    shutil.rmtree(tmp_path / "root/b.source")
    rewrite(folder, change)
    with pytest.raises(ImageError, match=message):
        raise ImageError("", reason_of(folder))
    assert verdicts(tmp_path / "root") == {"a/0=ocfl_object_1.1": "invalid_package", "b/1.jpg": b"1"}


def test_inventory_that_its_sidecar_does_not_confirm_is_refused(tmp_path):
    folder = make_object(tmp_path / "object", [{"1.jpg": b"1"}])
    sidecar = folder / "inventory.json.sha512"
    text = sidecar.read_text()
    for content, message in {
        "0" + text[1:]: "has the sha512 .*, but .*sha512 states 0.*: restore both from another copy",
        "nothing": "is not a digest followed by inventory.json",
    }.items():
        if content != text:
            sidecar.write_text(content)
            assert not is_valid_object(folder)
            with pytest.raises(ImageError, match=message):
                raise ImageError("", reason_of(folder))
    sidecar.write_text(text.upper().replace("INVENTORY.JSON", "inventory.json"))
    assert verdicts(folder) == {"1.jpg": b"1"}, "capitals mean the same digest"
    (folder / "inventory.json").unlink()
    assert "has no inventory.json" in reason_of(folder)


def test_object_of_a_later_version_of_the_standard_is_refused(tmp_path):
    folder = make_object(tmp_path / "object", [{"1.jpg": b"1"}])
    (folder / "0=ocfl_object_1.1").rename(folder / "0=ocfl_object_2.0")
    assert "declares another version of OCFL than" in reason_of(folder)


def test_large_inventory_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    folder = make_object(tmp_path / "object", [{"1.jpg": b"1"}])
    monkeypatch.setattr("pipeline.sources.ocfl_inventory.MAX_INVENTORY_BYTES", 50)
    assert "has more than 50 bytes" in reason_of(folder)


def test_contents_behind_a_link_out_of_the_object_are_not_read(tmp_path):
    outside = write_files(tmp_path / "outside", {"1.jpg": b"1"})
    folder = make_object(tmp_path / "object", [{"1.jpg": b"1", "2.jpg": b"2"}])
    (folder / "v1/content/1.jpg").unlink()
    (folder / "v1/content/1.jpg").symlink_to(outside / "1.jpg")
    assert verdicts(folder) == {"1.jpg": "invalid_package", "2.jpg": b"2"}


def test_what_is_no_object_is_refused(tmp_path):
    write_files(tmp_path, {"scans/1.jpg": b"1"})
    with pytest.raises(
        StorageError, match=r"scans holds no OCFL object: 0=ocfl_object_1.1 is neither .* leave out ocfl:"
    ):
        list(find_images(f"ocfl:{tmp_path}/scans", "input"))
    with pytest.raises(StorageError, match="there is no such folder"):
        list(find_images(f"ocfl:{tmp_path}/none", "input"))


def test_photo_that_a_later_version_changes_counts_as_changed_and_others_do_not(tmp_path):
    versions = [{"1.jpg": b"1", "2.jpg": b"2"}, {"1.jpg": b"1", "2.jpg": b"new"}]
    folder = make_object(tmp_path / "object", versions[:1])
    before = {entry.key: entry for entry in find_images(f"ocfl:{folder}", "input")}
    add_version(folder, write_files(tmp_path / "source", versions[1]))
    after = {entry.key: entry for entry in find_images(f"ocfl:{folder}", "input")}
    assert before["1.jpg"] == after["1.jpg"] and before["2.jpg"] != after["2.jpg"]
