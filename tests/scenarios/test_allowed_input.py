"""Jobs whose lists and Parquet files lie in a store and name photos elsewhere, and what such input costs a run."""

import os

import pytest

from pipeline.errors import NotAllowedError
from pipeline.runs import read_manifest
from pipeline.stages import RunOptions, open_run
from pipeline.storage import join_uri, write
from tests.support.containers import write_parquet
from tests.support.in_process_pool import run_in_process


@pytest.fixture
def photos(make_job, tmp_path):
    """The folder of the small photos of a job, on disk."""
    make_job()
    return tmp_path / "restored"


@pytest.fixture
def folder(tmp_path):
    """A folder in a store that is not local."""
    return f"memory://{tmp_path.name}"


def rows_of(job, **options):
    run_in_process(job, RunOptions(allow_code=True, **options))
    context = open_run(job, RunOptions(allow_code=True))
    return {row["file_name"].rpartition("/")[2]: row for row in read_manifest(context.run).to_pylist()}


def test_list_in_a_store_is_refused_until_the_job_allows_what_it_names(make_job, photos, folder, tmp_path):
    paths = sorted(map(str, photos.rglob("*.png")))
    write(join_uri(folder, "list.txt"), "\n".join(paths).encode())
    uri = join_uri(folder, "list.txt")
    with pytest.raises(NotAllowedError, match="if you trust the file, allow the folder"):
        run_in_process(make_job(input=uri))
    assert not (tmp_path / "enhanced").exists(), "a refused job writes nothing"
    rows = rows_of(make_job(input={"images": uri, "allow": str(photos)}))
    assert len(rows) == len(paths) and {row["status"] for row in rows.values()} == {"ok"}


@pytest.mark.parametrize("side", ["reference", "restored"])
def test_list_of_calibration_photos_is_allowed_by_its_own_section(make_job, photos, folder, side):
    write(join_uri(folder, "list.txt"), "\n".join(map(str, photos.rglob("*.png"))).encode())
    plain = {"reference": str(photos), "restored": str(photos)}
    listed = {"images": join_uri(folder, "list.txt")}
    with pytest.raises(NotAllowedError):
        run_in_process(make_job(calibration=plain | {side: listed}, input={"images": str(photos), "allow": "/"}))
    rows = rows_of(make_job(calibration=plain | {side: listed | {"allow": [str(photos)]}}))
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_path_in_a_struct_fails_its_photo_and_is_retried_once_it_is_allowed(make_job, photos, folder, tmp_path):
    path, data = next((str(each), each.read_bytes()) for each in photos.rglob("*.png"))
    cells = [{"bytes": data, "path": path}, {"bytes": None, "path": path}]
    uri = join_uri(folder, "data.parquet")
    write(uri, write_parquet(tmp_path / "data.parquet", cells).read_bytes())
    given = {"calibration": {"reference": str(photos), "degradation": "blur:sigma=1"}}
    rows = rows_of(make_job(input=uri, **given))
    assert [rows[name]["error_code"] for name in ("00000000.png", "00000001.png")] == [None, "not_allowed"]
    rows = rows_of(make_job(input={"images": uri, "allow": str(photos)}, **given), retry_failed=True)
    assert [rows[name]["status"] for name in ("00000000.png", "00000001.png")] == ["ok", "ok"]


@pytest.mark.timeout(120)
def test_list_of_what_is_no_photo_has_a_row_for_each_and_the_photos_are_done(make_job, photos, tmp_path, web):
    os.mkfifo(tmp_path / "fifo.png")
    web.endless.add("/endless.png")
    good = next(map(str, photos.rglob("*.png")))
    names = ["/dev/zero", str(tmp_path / "fifo.png"), str(photos), f"{web.url}/endless.png", good]
    (tmp_path / "list.txt").write_text("\n".join(names))
    job = make_job(
        input=str(tmp_path / "list.txt"),
        limits={"max_bytes": 100_000},
        calibration={"reference": str(photos), "degradation": "blur:sigma=1"},
    )
    rows = {row["input_uri"]: row["error_code"] for row in rows_of(job).values()}
    assert [rows[name] for name in names] == ["not_an_image"] * 3 + ["too_large", None]
