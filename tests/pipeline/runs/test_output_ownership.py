"""Claim: whose an output folder is, and that nobody else's photos are written over."""

import pytest

from pipeline.config.output_layout import OutputLayout
from pipeline.errors import RunError
from pipeline.runs import output_ownership as claims
from pipeline.runs.output_ownership import OWNER_FILE, claim_output, read_output_owner
from pipeline.runs.paths import RunPaths
from pipeline.storage.objects import read, write
from pipeline.storage.uris import join_uri
from tests.support.in_process_pool import OPTIONS, run_in_process


def claimed(output, name="abc", layout=OutputLayout.FILES, *, runs="_deepot", replace=False):
    claim_output(output, RunPaths(join_uri(output, runs, name)), name, layout, overwrite=replace)


def test_a_folder_is_one_runs(storage_folder):
    assert read_output_owner(storage_folder) == ""
    claimed(storage_folder)
    write(join_uri(storage_folder, "a.jpg"), b"its own")
    claimed(storage_folder)
    with pytest.raises(RunError, match=r"holds the photos of .*/_deepot/abc, made with other .*--overwrite"):
        claimed(storage_folder, "def")
    claimed(storage_folder, "def", replace=True)
    assert read_output_owner(storage_folder) == join_uri(storage_folder, "_deepot", "def")


@pytest.mark.parametrize(
    ("layout", "names", "stranger"),
    [
        (OutputLayout.FILES, ("_deepot/x/evaluation/1/curve.png", "notes.txt", "00000.tar"), "sub/old.TIF"),
        (OutputLayout.WEBDATASET, ("_deepot/x/plan-0001.parquet", "a.jpg", "mine.tar"), "00000.tar"),
    ],
)
def test_photos_of_nobody_are_not_written_over(storage_folder, layout, names, stranger):
    for name in names:
        write(join_uri(storage_folder, name), b"x")
    write(join_uri(storage_folder, "runs", "abc", "evaluation", "1", "curve.png"), b"x")
    claimed(storage_folder, layout=layout, runs="runs")
    other = f"{storage_folder}-2"
    write(join_uri(other, stranger), b"an original")
    with pytest.raises(RunError, match=rf"no run has put there \(.*{stranger} for one\).*--overwrite"):
        claimed(other, layout=layout)
    with pytest.raises(FileNotFoundError):
        read(join_uri(other, OWNER_FILE))
    claimed(other, layout=layout, replace=True)
    claimed(other, layout=layout)


def test_another_driver_that_begins_at_the_same_time_is_no_stranger(tmp_path, monkeypatch):
    folder, files = str(tmp_path), claims.iter_files

    def late(place):
        claimed(folder)
        write(join_uri(folder, "a.jpg"), b"of the other driver")
        return files(place)

    claims_files = iter([late])
    monkeypatch.setattr(claims, "iter_files", lambda place: next(claims_files, files)(place))
    claimed(folder)


def test_a_job_whose_output_is_a_folder_of_originals_leaves_them_alone(make_job, tmp_path):
    job = make_job(output={"uri": str(tmp_path / "originals")})
    original = tmp_path / "originals" / "photo 01.png"
    original.parent.mkdir()
    original.write_bytes(b"an original")
    with pytest.raises(RunError, match="holds photos that no run has put there"):
        run_in_process(job, OPTIONS)
    assert original.read_bytes() == b"an original"
    assert [path.name for path in original.parent.iterdir() if path.name != "_deepot"] == ["photo 01.png"]
    assert not list(tmp_path.rglob("moments/source")), "said before the statistics"
