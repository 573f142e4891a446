"""Ownership of output folders, and photos of others that results would overwrite."""

import pytest

from pipeline.config.output_layout import OutputLayout
from pipeline.errors import RunError
from pipeline.runs import output_ownership
from pipeline.runs.output_ownership import OWNER_FILE, claim_output, read_output_owner
from pipeline.runs.paths import RunPaths
from pipeline.storage.objects import read, write
from pipeline.storage.uris import join_uri
from tests.support.in_process_pool import OPTIONS, run_in_process


def claim(output, name="abc", layout=OutputLayout.FILES, *, runs="_deepot", overwrite=False):
    claim_output(output, RunPaths(join_uri(output, runs, name)), name, layout, overwrite=overwrite)


def test_claim_output_gives_a_folder_to_one_run(storage_folder):
    assert read_output_owner(storage_folder) == ""
    claim(storage_folder)
    write(join_uri(storage_folder, "a.jpg"), b"its own")
    claim(storage_folder)
    with pytest.raises(RunError, match=r"holds the photos of .*/_deepot/abc, made with other .*--overwrite"):
        claim(storage_folder, "def")
    claim(storage_folder, "def", overwrite=True)
    assert read_output_owner(storage_folder) == join_uri(storage_folder, "_deepot", "def")


@pytest.mark.parametrize(
    ("layout", "names", "stranger"),
    [
        (OutputLayout.FILES, ("_deepot/x/evaluation/1/curve.png", "notes.txt", "00000.tar"), "sub/old.TIF"),
        (OutputLayout.WEBDATASET, ("_deepot/x/plan-0001.parquet", "a.jpg", "mine.tar"), "00000.tar"),
    ],
)
def test_claim_output_refuses_photos_that_no_run_has_written(storage_folder, layout, names, stranger):
    for name in names:
        write(join_uri(storage_folder, name), b"x")
    write(join_uri(storage_folder, "runs", "abc", "evaluation", "1", "curve.png"), b"x")
    claim(storage_folder, layout=layout, runs="runs")
    other = f"{storage_folder}-2"
    write(join_uri(other, stranger), b"an original")
    with pytest.raises(RunError, match=rf"no run has written \(such as .*{stranger}\).*--overwrite"):
        claim(other, layout=layout)
    with pytest.raises(FileNotFoundError):
        read(join_uri(other, OWNER_FILE))
    claim(other, layout=layout, overwrite=True)
    claim(other, layout=layout)


def test_claim_output_accepts_results_of_another_driver_of_the_run(tmp_path, monkeypatch):
    folder, files = str(tmp_path), output_ownership.iter_files

    def iter_files_late(place):
        claim(folder)
        write(join_uri(folder, "a.jpg"), b"of the other driver")
        return files(place)

    iterators = iter([iter_files_late])
    monkeypatch.setattr(output_ownership, "iter_files", lambda place: next(iterators, files)(place))
    claim(folder)


def test_run_refuses_an_output_folder_of_originals(make_job, tmp_path):
    job = make_job(output={"uri": str(tmp_path / "originals")})
    original = tmp_path / "originals" / "photo 01.png"
    original.parent.mkdir()
    original.write_bytes(b"an original")
    with pytest.raises(RunError, match="holds photos that no run has written"):
        run_in_process(job, OPTIONS)
    assert original.read_bytes() == b"an original"
    assert [path.name for path in original.parent.iterdir() if path.name != "_deepot"] == ["photo 01.png"]
    assert not list(tmp_path.rglob("moments/source")), "it is refused before the statistics"
