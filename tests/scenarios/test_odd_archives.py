"""Whole runs over tars with links and sparse members, and over names that look like members of a tar."""

import shutil
import tarfile
import time

import pytest

from pipeline.config.loading import parse_job
from pipeline.maintenance.orphans import find_orphans
from pipeline.maintenance.verify import verify_run
from pipeline.progress import NullProgress
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.storage import sha256_hex
from tests.support.in_process_pool import run_in_process
from tests.support.odd_tars import SPARSE_FORMATS, finish, member, read_with_tarfile, sparse_member
from tests.support.photos import small_job_config


def run_and_verify(config):
    """Run a job; its rows by name, after checks that every result can be read and no file is orphaned."""
    result = run_in_process(parse_job(config))
    run = RunPaths(result.run)
    rows = {row["file_name"]: row for row in read_manifest(run).to_pylist()}
    assert result.complete and len(rows) == result.inputs
    assert verify_run(run, NullProgress()).findings == ()
    assert list(find_orphans(run, time.time() + 60)) == []
    assert run_in_process(parse_job(config)).done_now == 0
    return rows


@pytest.fixture
def photos(tmp_path):
    """The bytes of the photos of a small job, by name."""
    small_job_config(tmp_path, 8, 3)
    return {path.name: path.read_bytes() for path in sorted((tmp_path / "restored").glob("*.png"))}


@pytest.mark.parametrize("layout", ["files", "webdataset", "parquet"])
def test_run_over_an_odd_tar_has_a_row_for_every_member(tmp_path, photos, layout):
    first, second, third, *_ = photos.values()
    holes = [sparse_member(f"s/{name}.png", len(second), [(0, second)], name) for name in SPARSE_FORMATS]
    one = finish(
        member("a/one.png", first),
        member("a/one.json", b"{}"),
        member("b/one.png", type=tarfile.LNKTYPE, link="a/one.png"),
        member("b/one.json", type=tarfile.SYMTYPE, link="../a/one.json"),
        member("b/one.txt", type=tarfile.SYMTYPE, link="nothing"),
        member("b/broken.png", type=tarfile.SYMTYPE, link="nothing"),
        member("b/pipe.png", type=tarfile.FIFOTYPE),
    )
    (tmp_path / "x.tar").write_bytes(one + finish(*holes, member("two.png", third)))
    rows = run_and_verify(
        small_job_config(
            tmp_path,
            input={"images": str(tmp_path / "x.tar")},
            output={"uri": str(tmp_path / "out"), "layout": layout},
            compute={"images_per_shard": 100, "dtype": "float32"},
        )
    )
    codes = {name.removeprefix("x.tar/"): row["error_code"] for name, row in rows.items()}
    done = ["a/one.png", "b/one.png", *(f"s/{name}.png" for name in SPARSE_FORMATS), "two.png"]
    assert codes == dict.fromkeys(done) | {"b/broken.png": "missing", "b/pipe.png": "unsupported_format"}
    assert rows["x.tar/b/one.png"]["input_sha256"] == sha256_hex(first)
    assert {rows[f"x.tar/s/{name}.png"]["input_sha256"] for name in SPARSE_FORMATS} == {sha256_hex(second)}
    if layout == "webdataset":
        (tar,) = (tmp_path / "out").glob("*.tar")
        written = read_with_tarfile(tar.read_bytes())
        assert written["a/one.json"] == written["b/one.json"] == b"{}"
        assert "b/one.txt" not in written


@pytest.mark.parametrize("layout", ["files", "webdataset", "parquet"])
def test_run_over_names_like_members_can_be_verified(tmp_path, photos, layout):
    folder = tmp_path / "in.tar#1+2"
    for key in ("photo.tar#1+2/x.png", "x.zip#y/x.png", "p.parquet#image/0/1.png", "plain.png"):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(next(iter(photos.values())))
    config = small_job_config(
        tmp_path, input={"images": str(folder)}, output={"uri": str(tmp_path / "out.zip#3+4" / "x"), "layout": layout}
    )
    rows = run_and_verify(config)
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert sorted(rows) == ["p.parquet#image/0/1.png", "photo.tar#1+2/x.png", "plain.png", "x.zip#y/x.png"]


def test_run_over_a_list_of_members_can_be_verified(tmp_path, photos):
    """The results of such a run are called like members of a tar that is not there."""
    first = next(iter(photos.values()))
    data = finish(member("x.png", first), sparse_member("s.png", len(first), [(0, first)], "1.0"))
    (tmp_path / "a.tar").write_bytes(data)
    names = [f"a.tar#{data.index(first)}+{len(first)}/x.png", "plain.png"]
    shutil.copy(tmp_path / "restored" / "photo 01.png", tmp_path / "plain.png")
    (tmp_path / "list.txt").write_text("\n".join(names))
    rows = run_and_verify(small_job_config(tmp_path, input={"images": str(tmp_path / "list.txt")}))
    assert len(rows) == 2
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_results_that_earlier_versions_called_like_members_are_no_orphans(tmp_path, photos, monkeypatch):
    monkeypatch.setattr("pipeline.outputs.file_writer.escape_hashes", lambda key: key)
    folder = tmp_path / "in" / "photo.tar#1+2"
    folder.mkdir(parents=True)
    (folder / "x.png").write_bytes(next(iter(photos.values())))
    run = RunPaths(run_in_process(parse_job(small_job_config(tmp_path, input={"images": str(tmp_path / "in")}))).run)
    assert read_manifest(run)["output_uri"].to_pylist() == [f"{tmp_path}/enhanced/photo.tar#1+2/x.png"]
    assert list(find_orphans(run, time.time() + 60)) == []
