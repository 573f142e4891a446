"""Counts of what an input holds besides photos: of every kind, in every store and container."""

import os
import tarfile

import pytest

from pipeline.errors import NothingFoundError
from pipeline.sources.find import find_images
from pipeline.sources.passed_over import FileKind, PassedOver, describe_passed_over, kind_of
from pipeline.storage import join_uri, write
from tests.support.containers import write_tar, write_zip
from tests.support.odd_tars import finish, member

NAMES_OF_KIND = {
    "raw": ["a.DNG", "b.nef", "deep/c.CR2", "d.cr3"],
    "layered": ["a.psd"],
    "video": ["a.MOV", "deep/er/b.mp4"],
    "sidecar": ["a.xmp", "a.jpg.json", "a.AAE", "notes.txt"],
    "container": ["box.tar", "box.zip", "old.tar.gz"],
    "hidden": [".profile", ".cache/a.jpg"],
    "system": [".DS_Store", "Thumbs.db", "@eaDir/a.jpg"],
    "other": ["README", "a.pdf", "jpg", "a.jpg~"],
}
COUNTS = {kind: len(names) for kind, names in NAMES_OF_KIND.items()}
NAMES = [name for names in NAMES_OF_KIND.values() for name in names]


def count(uri, excluded_folders=(), patterns=()):
    """How many photos an input has, and the counts of the rest."""
    passed_over = PassedOver(excluded_folders)
    found = list(find_images(str(uri), "input", excluded_folders, patterns, passed_over=passed_over))
    return len(found), passed_over.counts


def test_every_file_of_a_folder_is_a_photo_or_counted(storage_folder):
    for name in [*NAMES, "a.jpg", "deep/b.TIFF"]:
        write(join_uri(storage_folder, "in", name), b"x")
    assert count(join_uri(storage_folder, "in")) == (2, COUNTS)
    assert count(join_uri(storage_folder, "in") + "/*.jpg") == (1, {}), "a glob names what it wants"


@pytest.mark.parametrize(("write_archive", "kind"), [(write_tar, "tar"), (write_zip, "zip")])
def test_every_file_of_archives_is_a_photo_or_counted(tmp_path, write_archive, kind):
    for name in "ab":
        write_archive(tmp_path / f"{name}.{kind}", dict.fromkeys([*NAMES, "x.jpg"], b"1"))
    assert count(tmp_path / f"a.{kind}") == (1, COUNTS)
    (tmp_path / f"bad.{kind}").write_bytes(b"nothing of the kind" * 100)
    assert count(f"{tmp_path}/*.{kind}") == (3, {name: 2 * number for name, number in COUNTS.items()})


def test_links_of_a_folder_are_counted(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.jpg").write_bytes(b"x")
    (tmp_path / "album").symlink_to("deep")
    (tmp_path / "b.jpg").symlink_to("deep/a.jpg")
    (tmp_path / "broken.tif").symlink_to("none")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert count(tmp_path) == (1, {"link": 3, "other": 1})
    assert count(f"{tmp_path}/**/*.jpg") == (1, {"link": 1, "other": 1})


def test_folders_of_tars_are_not_counted_and_links_are_photos(tmp_path):
    (tmp_path / "x.tar").write_bytes(
        finish(
            member("d", type=tarfile.DIRTYPE),
            member("d/a.jpg", b"1"),
            member("b.jpg", type=tarfile.SYMTYPE, link="d/a.jpg"),
            member("a.nef", type=tarfile.LNKTYPE, link="d/a.jpg"),
        )
    )
    assert count(tmp_path / "x.tar") == (2, {"raw": 1})


def test_excluded_photos_are_counted_and_files_of_the_job_are_not(storage_folder):
    for name in ["a.jpg", "thumbs/a.jpg", "thumbs/b.jpg", "out/a.jpg", "out/_owner.json", "outer/x.json"]:
        write(join_uri(storage_folder, name), b"x")
    n_photos, counts = count(storage_folder, [join_uri(storage_folder, "out")], ["thumbs/*", "out/*"])
    assert n_photos == 1
    assert counts["sidecar"] == 1
    assert counts["excluded"] >= 2


def test_input_without_photos_is_refused_with_the_counts(tmp_path):
    for name in ("a.nef", "b.nef", "c.mov"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(NothingFoundError, match=r"no images found; .*; there are 2 raw photos, 1 video$"):
        count(tmp_path)


def test_counts_are_those_of_a_fixed_set_of_kinds():
    passed_over = PassedOver()
    for number in range(10_000):
        passed_over.add(f"file.{number}")
    assert passed_over.counts == {"other": 10_000}
    assert describe_passed_over({kind.value: 2 for kind in FileKind}).count(", ") == len(FileKind) - 1
    assert kind_of("a.jpg/DNG") is kind_of("") is FileKind.OTHER
