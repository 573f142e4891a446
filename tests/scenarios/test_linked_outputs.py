"""Output folders that are, or lead to, the photos of the input, and links inside output folders."""

import os

import pytest

from pipeline.errors import NothingFoundError
from pipeline.maintenance.verify import verify_run
from pipeline.progress import NullProgress
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.stages import RunOptions
from tests.support.containers import photo_bytes, write_tar, write_zip
from tests.support.in_process_pool import run_in_process

OVERWRITE = RunOptions(allow_code=True, overwrite=True)


def snapshot(folder):
    """Return all files below a folder, and what they hold."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def name_input(tmp_path, kind):
    """Return the URI of photos in the folder `photos`, as an input of a kind."""
    folder = tmp_path / "photos"
    if kind == "folder":
        return str(folder)
    if kind == "folder behind a link":
        (tmp_path / "photos-link").symlink_to(folder)
        return str(tmp_path / "photos-link")
    if kind == "glob":
        return f"{folder}/**/*.png"
    if kind == "file":
        return str(folder / "photo 01.png")
    if kind == "list":
        (tmp_path / "list.txt").write_text("\n".join(map(str, sorted(folder.rglob("*.png")))))
        return str(tmp_path / "list.txt")
    write = {"tar": write_tar, "zip": write_zip}[kind]
    return str(write(folder / f"box.{kind}", {"0001.jpg": photo_bytes("0001.jpg")}))


def name_output(tmp_path, place):
    """Return a path to the folder `photos`, or to a folder that it lies in."""
    folder, link = tmp_path / "photos", tmp_path / "link"
    if place == "the folder":
        return str(folder)
    if place == "a link":
        link.symlink_to(folder)
        return str(link)
    if place == "a link to a link":
        (tmp_path / "first").symlink_to(folder)
        link.symlink_to("first")
        return f"{link}/"
    if place == "below a linked parent":
        link.symlink_to(tmp_path)
        return str(link / "photos")
    if place == "another spelling":
        return f"{tmp_path}/photos/sub/../../photos"
    if place == "a placeholder":
        link.symlink_to(folder)
        return str(link / "{run}")
    link.symlink_to(tmp_path)
    return str(link)


PLACES = [
    *("the folder", "a link", "a link to a link", "below a linked parent", "another spelling"),
    *("a placeholder", "a linked parent of the input"),
]


@pytest.mark.parametrize("options", [OVERWRITE, RunOptions(allow_code=True)], ids=["overwrite", ""])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["folder", "folder behind a link", "glob", "file", "list", "tar", "zip"])
def test_output_folder_that_holds_the_input_is_refused(make_job, tmp_path, kind, place, options):
    make_job()
    os.rename(tmp_path / "restored", tmp_path / "photos")
    (tmp_path / "photos" / "sub").mkdir(exist_ok=True)
    images, output = name_input(tmp_path, kind), name_output(tmp_path, place)
    job = make_job(input={"images": images}, output={"uri": output})
    before = snapshot(tmp_path)
    message = r"the only images are in .*, where this job's own files go|is also the folder of the results, and"
    with pytest.raises(NothingFoundError, match=message):
        run_in_process(job, options)
    assert snapshot(tmp_path) == before, "nothing is written"


def test_output_folder_inside_the_input_is_no_input_by_any_path(make_job, tmp_path):
    """As without links: the results of the first run are not the input of the second."""
    (tmp_path / "link").symlink_to(tmp_path / "restored")
    for output in (tmp_path / "link" / "out", tmp_path / "restored" / "out"):
        result = run_in_process(make_job(6, output={"uri": str(output)}), OVERWRITE)
        assert (result.inputs, result.ok) == (6, 6)


def test_photos_beside_the_output_folder_stay_input(make_job, tmp_path):
    job = make_job(6, output={"uri": str(tmp_path / "link")})
    (tmp_path / "restored" / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "restored" / "out")
    (tmp_path / "restored" / "out2").symlink_to(tmp_path)
    assert run_in_process(job).ok == 6


def test_result_below_a_link_out_of_the_output_folder_fails_alone(make_job, tmp_path):
    """The photos of the folder `sub` (two of six) would be written elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "photo 00.png").write_bytes(b"an original")
    (tmp_path / "enhanced").mkdir()
    (tmp_path / "enhanced" / "sub").symlink_to(tmp_path / "elsewhere")
    result = run_in_process(make_job(6), OVERWRITE)
    assert (result.ok, result.codes) == (4, {"unsafe_name": 2})
    assert snapshot(tmp_path / "elsewhere") == {"photo 00.png": b"an original"}
    rows = {row["file_name"]: row for row in read_manifest(RunPaths(result.run)).to_pylist()}
    message = rows["sub/photo 00.png"]["error_message"]
    assert f"as {tmp_path}/enhanced/sub is a symbolic link: remove the link" in message
    assert verify_run(RunPaths(result.run), NullProgress()).findings == ()


def test_link_in_the_place_of_a_result_is_replaced(make_job, tmp_path):
    (tmp_path / "original.png").write_bytes(b"an original")
    (tmp_path / "enhanced" / "sub").mkdir(parents=True)
    for name in ("photo 01.png", "sub/photo 00.png"):
        (tmp_path / "enhanced" / name).symlink_to(tmp_path / "original.png")
    (tmp_path / "enhanced" / "photo 02.png").symlink_to(tmp_path / "nowhere" / "new.png")
    result = run_in_process(make_job(6), OVERWRITE)
    assert result.ok == 6
    assert (tmp_path / "original.png").read_bytes() == b"an original"
    assert not (tmp_path / "nowhere").exists()
    assert not any(path.is_symlink() for path in (tmp_path / "enhanced").rglob("*"))
    assert verify_run(RunPaths(result.run), NullProgress()).findings == ()
