"""Nobody may read a result who may not read the photos that it was made from."""

import os
import stat

import pytest

from pipeline.curation.export import export_photos
from pipeline.progress import NullProgress
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.paths import RunPaths
from tests.support.containers import photo_bytes, write_tar
from tests.support.in_process_pool import run_in_process

MODES = [0o600, 0o640, 0o604, 0o644, 0o664, 0o666, 0o400, 0o444, 0o755, 0o700]


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("overwrites", [False, True], ids=["new", "again"])
def test_results_have_the_permissions_of_their_inputs(make_job, tmp_path, umask, overwrites):
    job = make_job(len(MODES))
    inputs = sorted((tmp_path / "restored").rglob("*.png"))
    if overwrites:
        assert run_in_process(job).ok == len(MODES)
        for commit in (tmp_path / "enhanced").rglob("commits/*.json"):
            commit.unlink()
    for path, mode in zip(inputs, MODES, strict=True):
        path.chmod(mode)
    result = run_in_process(job)
    assert result.ok == len(MODES)
    for path, mode in zip(inputs, MODES, strict=True):
        assert mode_of(tmp_path / "enhanced" / path.relative_to(tmp_path / "restored")) == mode & 0o644
    report = RunPaths(result.run).report
    if not overwrites:
        assert mode_of(report) == 0o400, "it shows parts of the photos"
    export_photos(read_manifest(RunPaths(result.run)), f"{tmp_path}/tars/", "output", NullProgress())
    assert mode_of(tmp_path / "tars" / "000000.tar") == 0o400


@pytest.mark.parametrize(("layout", "suffix"), [("webdataset", "tar"), ("parquet", "parquet")])
def test_file_of_several_results_has_the_permissions_that_all_inputs_have(make_job, tmp_path, umask, layout, suffix):
    job = make_job(4, output={"uri": str(tmp_path / "out"), "layout": layout})
    inputs = sorted((tmp_path / "restored").rglob("*.png"))
    for path, mode in zip(inputs, [0o644, 0o640, 0o600, 0o644], strict=True):
        path.chmod(mode)
    assert run_in_process(job).ok == 4
    assert [mode_of(path) for path in sorted((tmp_path / "out").glob(f"*.{suffix}"))] == [0o640, 0o600]


@pytest.mark.parametrize("layout", ["files", "webdataset", "parquet"])
def test_results_of_a_tar_have_its_permissions(make_job, tmp_path, umask, layout):
    write_tar(tmp_path / "in.tar", {"0001.jpg": photo_bytes("0001.jpg")})
    (tmp_path / "in.tar").chmod(0o640)
    images = str(tmp_path / "in.tar")
    assert run_in_process(make_job(input={"images": images}, output={"uri": f"{tmp_path}/out", "layout": layout})).ok
    (path,) = (
        path for path in (tmp_path / "out").rglob("*") if path.is_file() and "_" not in str(path.relative_to(tmp_path))
    )
    assert mode_of(path) == 0o640
