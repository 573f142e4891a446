"""Nobody may read a result who may not read the photos that it was made from."""

import os
import stat

import pytest

from pipeline.curation.export import export_photos
from pipeline.progress import NullProgress
from pipeline.runs.manifest import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.sources.permissions import common_permissions
from pipeline.storage import local_store
from pipeline.storage.objects import write
from tests.support.containers import photo_bytes, write_tar
from tests.support.in_process_pool import run_in_process

MODES = [0o600, 0o640, 0o604, 0o644, 0o664, 0o666, 0o400, 0o444, 0o755, 0o700]


@pytest.fixture
def umask():
    """Sets the umask of the process for a test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o000])
@pytest.mark.parametrize("permissions", [None, 0o000, 0o040, *MODES])
def test_write_gives_no_more_than_the_permissions_and_umask(tmp_path, umask, permissions, mask, monkeypatch):
    """Not even to the temporary file; its owner may read it in any case, as results are verified."""
    seen, real = [], local_store.os.replace

    def replace(temporary, path):
        seen.append(mode_of(temporary))
        real(temporary, path)

    monkeypatch.setattr(local_store.os, "replace", replace)
    umask(mask)
    for _ in range(2):
        write(str(tmp_path / "x"), b"data", permissions)
    allowed = 0o666 if permissions is None else permissions & 0o666 | 0o400
    assert seen == [allowed & ~mask] * 2
    assert mode_of(tmp_path / "x") == allowed & ~mask


def test_write_with_permissions_is_the_same_on_every_storage(storage_folder):
    write(f"{storage_folder}/x", b"data", 0o600)
    expected = 0o600 if storage_folder.startswith("/") else None
    assert common_permissions([f"{storage_folder}/x"]) == expected
    assert common_permissions([]) is None


def test_common_permissions_are_those_of_every_file(tmp_path):
    for name, mode in {"a.png": 0o644, "b.png": 0o660, "box.tar": 0o640, "c.png": 0o4755}.items():
        (tmp_path / name).write_bytes(b"x")
        (tmp_path / name).chmod(mode)
    a, b, c, box = (f"{tmp_path}/{name}" for name in ("a.png", "b.png", "c.png", "box.tar#512+10/d.png"))
    assert common_permissions([a]) == 0o644
    assert common_permissions([a, b, "memory://x.png"]) == 0o640
    assert common_permissions([box, c]) == 0o640
    assert common_permissions([c]) == 0o755
    assert common_permissions([a, f"{tmp_path}/gone.png"]) == 0o600


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
