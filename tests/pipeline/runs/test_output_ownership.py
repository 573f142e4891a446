"""Claim: whose an output folder is, and that nobody else's photos are written over."""

import pytest

from pipeline.config.output_layout import Layout
from pipeline.errors import RunError
from pipeline.runs import output_ownership as claims
from pipeline.runs.output_ownership import MARKER, claim, owner
from pipeline.runs.paths import Run
from pipeline.storage.objects import join, put, read
from tests.support.in_process_pool import HOW, run_inline


def claimed(output, name="abc", layout=Layout.MIRROR, *, runs="_deepot", replace=False):
    claim(output, Run(join(output, runs, name)), name, layout, replace=replace)


def test_a_folder_is_one_runs(folder):
    assert owner(folder) == ""
    claimed(folder)
    put(join(folder, "a.jpg"), b"its own")
    claimed(folder)
    with pytest.raises(RunError, match=r"holds the photos of .*/_deepot/abc, made with other .*--replace"):
        claimed(folder, "def")
    claimed(folder, "def", replace=True)
    assert owner(folder) == join(folder, "_deepot", "def")


@pytest.mark.parametrize(
    ("layout", "names", "stranger"),
    [
        (Layout.MIRROR, ("_deepot/x/evaluation/1/curve.png", "notes.txt", "00000.tar"), "sub/old.TIF"),
        (Layout.WEBDATASET, ("_deepot/x/plan-0001.parquet", "a.jpg", "mine.tar"), "00000.tar"),
    ],
)
def test_photos_of_nobody_are_not_written_over(folder, layout, names, stranger):
    for name in names:
        put(join(folder, name), b"x")
    put(join(folder, "runs", "abc", "evaluation", "1", "curve.png"), b"x")
    claimed(folder, layout=layout, runs="runs")
    other = f"{folder}-2"
    put(join(other, stranger), b"an original")
    with pytest.raises(RunError, match=rf"no run has put there \(.*{stranger} for one\).*--replace"):
        claimed(other, layout=layout)
    with pytest.raises(FileNotFoundError):
        read(join(other, MARKER))
    claimed(other, layout=layout, replace=True)
    claimed(other, layout=layout)


def test_another_driver_that_begins_at_the_same_time_is_no_stranger(tmp_path, monkeypatch):
    folder, files = str(tmp_path), claims.files

    def late(place):
        claimed(folder)
        put(join(folder, "a.jpg"), b"of the other driver")
        return files(place)

    claims_files = iter([late])
    monkeypatch.setattr(claims, "files", lambda place: next(claims_files, files)(place))
    claimed(folder)


def test_a_job_whose_output_is_a_folder_of_originals_leaves_them_alone(job_for, tmp_path):
    job = job_for(output={"uri": str(tmp_path / "originals")})
    original = tmp_path / "originals" / "photo 01.png"
    original.parent.mkdir()
    original.write_bytes(b"an original")
    with pytest.raises(RunError, match="holds photos that no run has put there"):
        run_inline(job, HOW)
    assert original.read_bytes() == b"an original"
    assert [path.name for path in original.parent.iterdir() if path.name != "_deepot"] == ["photo 01.png"]
    assert not list(tmp_path.rglob("moments/source")), "said before the statistics"
