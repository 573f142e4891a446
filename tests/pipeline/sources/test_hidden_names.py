"""Hidden files, and those of macOS, Windows and network storage: passed over and counted in every kind of source."""

import pytest

from pipeline.config.job import Limits
from pipeline.errors import AccessDeniedError, ErrorCode, ImageError, NothingFoundError, StorageError
from pipeline.imageio.image_file import decode
from pipeline.sources.find import find_images
from pipeline.sources.hidden_names import find_hidden_kind, is_named_by_glob
from pipeline.sources.passed_over import FileKind, PassedOver
from pipeline.sources.reading import read_input
from pipeline.storage import join_uri, write
from pipeline.storage.fsspec_store import FsspecStore
from tests.support.containers import photo_bytes, write_tar, write_zip

SYSTEM_FOLDERS = [
    *("__MACOSX", ".AppleDouble", ".Trashes", ".Spotlight-V100", ".fseventsd", ".TemporaryItems", ".Trash-1000"),
    *("@eaDir", "#recycle", "#snapshot", "@tmp", "@Recycle", "@Recently-Snapshot", ".@__thumb", ".thumbnails"),
    *("$RECYCLE.BIN", "RECYCLER", "System Volume Information", "lost+found", "@eadir", "THUMBS.DB", "%40eaDir"),
]
SYSTEM_FILES = [".DS_Store", "Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r", "._a.jpg", "._a.nef"]
SYSTEM = [
    *(f"{name}/deep/a.jpg" for name in SYSTEM_FOLDERS),
    *SYSTEM_FILES,
    *(f"box 3/{name}" for name in SYSTEM_FILES),
]
HIDDEN = [".a.jpg", ".git/x.png", "box 3/.old/a.tif", "box 3/.old/a.mov"]
PHOTOS = ["a.jpg", "box 3/a.jpg", "box 3/@home/a.jpg", "box 3/tmp/a.jpg", "_a.jpg", "box 3/a..jpg", "Thumbs.db.jpg"]
APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(100)


def list_input(uri, patterns=()):
    """Keys of the photos of an input, and the counts of the rest."""
    passed_over = PassedOver()
    found = [entry.key for entry in find_images(str(uri), "input", (), patterns, passed_over=passed_over)]
    return found, passed_over.counts


def test_folder_passes_over_hidden_files_and_those_of_systems(storage_folder):
    for name in [*SYSTEM, *HIDDEN, *PHOTOS]:
        write(join_uri(storage_folder, ".in", name), b"x")
    uri = join_uri(storage_folder, ".in")
    assert list_input(uri) == (sorted(PHOTOS), {"hidden": len(HIDDEN), "system": len(SYSTEM)})
    found, counts = list_input(f"{uri}/**/*.jpg")
    assert found == sorted(PHOTOS)
    assert counts == {"hidden": 1, "system": sum(name.endswith(".jpg") for name in SYSTEM)}
    assert list_input(uri, ["box 3/*"]) == (
        sorted(name for name in PHOTOS if "box 3" not in name),
        {"excluded": 4, "hidden": len(HIDDEN), "system": len(SYSTEM)},
    )


@pytest.mark.parametrize(("write_archive", "kind"), [(write_tar, "tar"), (write_zip, "zip")])
def test_archive_passes_over_hidden_files_and_those_of_systems(tmp_path, write_archive, kind):
    names = [*SYSTEM, *HIDDEN, *PHOTOS, "./box 5/a.jpg", "__MACOSX/./box 5/._a.jpg", "__MACOSX\\b\\a.jpg"]
    write_archive(tmp_path / f"a.{kind}", dict.fromkeys(names, b"1"))
    (tmp_path / f"._a.{kind}").write_bytes(APPLE_DOUBLE)
    expected = sorted(f"a.{kind}/{name}" for name in [*PHOTOS, "box 5/a.jpg"])
    counts = {"hidden": len(HIDDEN), "system": len(SYSTEM) + 2}
    assert list_input(tmp_path / f"a.{kind}") == (expected, counts)
    assert list_input(f"{tmp_path}/*.{kind}") == (expected, counts | {"system": len(SYSTEM) + 3})


def test_glob_of_lists_passes_over_those_of_systems(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"1")
    (tmp_path / "photos.txt").write_text("a.jpg\n")
    (tmp_path / "._photos.txt").write_bytes(APPLE_DOUBLE)
    assert list_input(f"{tmp_path}/*.txt") == ([f"{tmp_path}/a.jpg".lstrip("/")], {"system": 1})


@pytest.mark.parametrize(
    "below",
    ["@eaDir", ".old/deep", ".old/deep/*.jpg", "@eaDir/*/*.jpg", "**/@eaDir/**/*.jpg", ".o*/**/*.jpg", ".old/.a.jpg"],
)
def test_input_that_names_a_hidden_place_has_its_photos(storage_folder, below):
    for name in ("a.jpg", "@eaDir/x/a.jpg", "@eaDir/x/.DS_Store", ".old/deep/a.jpg", ".old/.a.jpg"):
        write(join_uri(storage_folder, "in", name), b"x")
    found, _ = list_input(join_uri(storage_folder, "in", below))
    assert len(found) == 1 and found[0].endswith("a.jpg")


@pytest.mark.parametrize("side", ["calibration.reference", "evaluate.clean"])
def test_input_of_hidden_photos_only_is_refused_with_their_number(tmp_path, side):
    write(str(tmp_path / "in" / ".a.jpg"), b"x")
    write(str(tmp_path / "in" / "@eaDir" / "a.jpg"), b"x")
    with pytest.raises(NothingFoundError, match=r"there are 1 hidden file, 1 system file; to work on hidden files, "):
        list(find_images(str(tmp_path / "in"), side))


def test_folder_of_a_system_that_may_not_be_listed_is_counted_and_any_other_refused(tmp_path, monkeypatch):
    for name in ("a.jpg", "lost+found/b.jpg", "z/c.jpg"):
        write(str(tmp_path / name), b"x")
    denied = {"lost+found"}
    real = FsspecStore._list_folder

    def list_folder(store, uri, path, *, detail):
        if path.rpartition("/")[2] in denied:
            raise PermissionError(13, "Permission denied", path)
        return real(store, uri, path, detail=detail)

    monkeypatch.setattr(FsspecStore, "_list_folder", list_folder)
    assert list_input(tmp_path) == (["a.jpg", "z/c.jpg"], {"system": 1})
    assert list_input(f"{tmp_path}/**/*.jpg")[0] == ["a.jpg", "z/c.jpg"]
    denied.add("z")
    for uri in (tmp_path, f"{tmp_path}/**/*.jpg"):
        with pytest.raises(AccessDeniedError, match="/z"):
            list_input(uri)
    denied = {tmp_path.name}
    with pytest.raises(StorageError):
        list_input(tmp_path)


def test_list_names_its_photos_and_those_that_are_apple_double_are_skipped(tmp_path):
    names = ["._a.jpg", "@eaDir/a.jpg", ".a.jpg"]
    for name in names:
        write(str(tmp_path / name), APPLE_DOUBLE if name.startswith("._") else photo_bytes("a.jpg"))
    (tmp_path / "photos.txt").write_text("\n".join(names))
    found = find_images(f"{tmp_path}/photos.txt", "input")
    entries = {entry.uri.removeprefix(f"{tmp_path}/"): entry for entry in found}
    assert entries.keys() == set(names)
    assert all(decode(read_input(entries[name], Limits()), 10**6) for name in names[1:])
    with pytest.raises(ImageError, match=r"an AppleDouble file, .* about a\.jpg and no photo") as caught:
        read_input(entries["._a.jpg"], Limits())
    assert caught.value.code is ErrorCode.APPLE_DOUBLE and caught.value.code.skipped


@pytest.mark.parametrize("signature", [APPLE_DOUBLE, b"\0\5\x16\0" + APPLE_DOUBLE[4:]])
def test_apple_double_under_the_name_of_a_photo_fails_as_what_it_is(tmp_path, signature):
    (tmp_path / "a.jpg").write_bytes(signature)
    (entry,) = find_images(str(tmp_path), "input")
    with pytest.raises(ImageError, match=r"it is an AppleDouble file, .*: copy the photo itself again") as caught:
        decode(read_input(entry, Limits()), 10**6)
    assert caught.value.code is ErrorCode.NOT_AN_IMAGE


def test_photo_of_a_name_that_a_list_gives_is_read_whatever_the_name(tmp_path):
    (tmp_path / "._a.jpg").write_bytes(photo_bytes("a.jpg"))
    (entry,) = find_images(f"{tmp_path}/._*.jpg", "input")
    assert decode(read_input(entry, Limits()), 10**6).properties["format"] == "JPEG"


@pytest.mark.parametrize("path", [*PHOTOS, "../a.jpg", "./a.jpg", "", "a/", "..", "a@eaDir/b.jpg", "x__MACOSX/y"])
def test_find_hidden_kind_of_ordinary_names_is_none(path):
    assert find_hidden_kind(path) is None


def test_kinds_and_globs_of_hidden_names():
    assert {find_hidden_kind(path) for path in SYSTEM} == {FileKind.SYSTEM}
    assert {find_hidden_kind(path) for path in HIDDEN} == {FileKind.HIDDEN}
    assert is_named_by_glob("a/.x/@eaDir/b.jpg", "a/.x/@eaDir/*")
    assert not is_named_by_glob("a/.x/@eaDir/b.jpg", "a/.x/**")
    assert not is_named_by_glob("a/@eaDir/b.jpg", "**/@*/*")
