"""Orphaned files: those that nothing names are removed, whatever else happens meanwhile; all others stay."""

import json
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline.errors import RunError
from pipeline.maintenance import orphans
from pipeline.maintenance.orphans import OrphanKind, find_orphans, remove_orphans
from pipeline.maintenance.verify import verify_run
from pipeline.progress import NullProgress
from pipeline.runs.commits import iter_commits
from pipeline.runs.paths import RunPaths
from pipeline.storage.objects import delete, read, write
from tests.support.in_process_pool import run_in_process
from tests.support.json_commands import run_json_command


def test_gc_removes_only_files_that_nothing_names(make_job, tmp_path, capsys):
    job = make_job()
    run = RunPaths(run_in_process(job).run)
    out = tmp_path / "enhanced"
    assert list(find_orphans(run, time.time() + 60)) == []
    kept = {str(path): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    (tmp_path / "restored" / "photo 99.png").write_bytes(b"broken")
    assert run_in_process(job).failed == 1
    left = [run.manifest("00000-1-dead.parquet"), f"{run.uri}/.y.partial"]
    left += [str(out / ".x.partial"), str(out / "photo 99.png")]
    mine = str(out / "notes of the archivist.png")
    for path in [*left, mine]:
        write(path, b"left behind")
    assert list(find_orphans(run, time.time() - 3600)) == [], "a driver may still be using them"
    status, numbers = run_json_command(capsys, "gc", run.uri, "--older-than", "0s", "--dry-run")
    assert (status, numbers["removed"], numbers["found"]) == (0, 0, 4)
    status, numbers = run_json_command(capsys, "gc", run.uri, "--older-than", "0s")
    assert (status, numbers["removed"], numbers["bytes"]) == (0, 4, 44)
    assert (numbers["manifest_files"], numbers["partials"], numbers["results"]) == (1, 2, 1)
    assert not any(os.path.exists(path) for path in left)
    assert os.path.exists(mine)
    assert all(os.path.exists(path) for path in kept)
    assert verify_run(run, NullProgress()).findings == ()


def test_find_orphans_leaves_results_of_another_run(make_job, tmp_path):
    first = RunPaths(run_in_process(make_job()).run)
    write(str(tmp_path / "enhanced" / "_owner.json"), json.dumps({"run": "another"}).encode())
    (tmp_path / "enhanced" / "photo 01.png").unlink()
    write(first.manifest("dead.parquet"), b"x")
    assert {orphan.kind for orphan in find_orphans(first, time.time() + 60)} == {OrphanKind.MANIFEST_FILE}
    write(first.commit(0), b"{")
    with pytest.raises(RunError, match="is not a commit"):
        list(remove_orphans(find_orphans(first, time.time() + 60)))


def test_gc_measures_ages_by_the_clock_of_the_storage(make_job, monkeypatch, capsys):
    """This machine's clock may be days ahead, and a file that was just written may be in use."""
    run = RunPaths(run_in_process(make_job()).run)
    write(run.manifest("00000-1-late.parquet"), b"of a shard in progress")
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 10 * 86400)
    assert run_json_command(capsys, "gc", run.uri)[1]["removed"] == 0
    os.utime(run.manifest("00000-1-late.parquet"), (now - 86401,) * 2)
    assert run_json_command(capsys, "gc", run.uri)[1]["removed"] == 1
    assert not [name for name in os.listdir(run.uri) if name.endswith(".partial")]


@pytest.mark.parametrize("text", ["1", "d", "-1d", "1w"])
def test_gc_refuses_ages_without_number_or_unit(text, capsys):
    with pytest.raises(SystemExit):
        main(["gc", "x", f"--older-than={text}"])
    assert "is not an age" in capsys.readouterr().err


def test_find_orphans_leaves_files_that_are_committed_while_they_are_listed(make_job, monkeypatch):
    """Manifests are read before the listing, and a slow driver may commit in between."""
    run = RunPaths(run_in_process(make_job()).run)
    commit = read(run.commit(1))
    delete(run.commit(1))
    before = [orphan.kind for orphan in find_orphans(run, time.time() + 60)]
    assert sorted(before) == [OrphanKind.MANIFEST_FILE, OrphanKind.RESULT, OrphanKind.RESULT]
    real = orphans.iter_files

    def files(folder):
        yield from real(folder)
        write(run.commit(1), commit)

    monkeypatch.setattr(orphans, "iter_files", files)
    assert list(find_orphans(run, time.time() + 60)) == []


def test_remove_orphans_leaves_files_that_are_written_again_meanwhile(make_job, tmp_path):
    run = RunPaths(run_in_process(make_job()).run)
    delete(run.commit(1))
    found = list(find_orphans(run, time.time() + 60))
    anew, gone, *rest = (orphan.entry.uri for orphan in found)
    os.utime(anew, (time.time() + 5, time.time() + 5))
    os.unlink(gone)
    assert [orphan.entry.uri for orphan in remove_orphans(found)] == rest
    assert os.path.exists(anew)


def test_find_orphans_yields_many_in_batches(make_job, monkeypatch):
    run = RunPaths(run_in_process(make_job()).run)
    for number in range(7):
        write(run.manifest(f"{number}.parquet"), b"x")
    monkeypatch.setattr(orphans, "_RECHECK_BATCH", 3)
    assert len(list(find_orphans(run, time.time() + 60))) == 7


def test_find_orphans_without_a_manifest_file_fails(make_job):
    run = RunPaths(run_in_process(make_job()).run)
    file = dict(iter_commits(run))[0][0]
    delete(run.manifest(file.name))
    with pytest.raises(RunError, match=r"nobody knows .* --requeue"):
        next(find_orphans(run, time.time() + 60))


@pytest.mark.parametrize(("layout", "suffix"), [("webdataset", "tar"), ("parquet", "parquet")])
def test_find_orphans_finds_tars_and_parquet_files_of_shards(make_job, tmp_path, layout, suffix):
    """An interrupted bisection leaves files of parts of a shard, whose photos would count twice."""
    out = tmp_path / "enhanced"
    job = make_job(output={"uri": str(out), "layout": layout})
    run = RunPaths(run_in_process(job).run)
    assert list(find_orphans(run, time.time() + 60)) == []
    left = {f"00001-0.{suffix}", f"00001-011.{suffix}"}
    mine = {f"00009.{suffix}", f"1.{suffix}", f"00001-2.{suffix}", f"sub/00001.{suffix}", f"photos.{suffix}"}
    for name in left | mine:
        write(str(out / name), b"x")
    delete(run.commit(2))
    found = {orphan.entry.key for orphan in find_orphans(run, time.time() + 60) if orphan.kind is OrphanKind.RESULT}
    assert found == left | {f"00002.{suffix}"}


def test_find_orphans_finds_results_of_inputs_without_suffix(make_job, tmp_path):
    out = tmp_path / "enhanced"
    job = make_job(input={"images": f"{tmp_path}/bare/*"})
    (tmp_path / "bare").mkdir()
    (tmp_path / "restored" / "photo 01.png").rename(tmp_path / "bare" / "scan")
    run = RunPaths(run_in_process(job).run)
    for name in ("other", "scan.png"):
        write(str(out / name), b"x")
    delete(run.commit(0))
    assert [o.entry.key for o in find_orphans(run, time.time() + 60) if o.kind is OrphanKind.RESULT] == ["scan"]


def test_find_orphans_finds_results_of_parquet_rows(make_job, tmp_path):
    out = tmp_path / "enhanced"
    job = make_job(input={"images": str(tmp_path / "p.parquet")})
    photo = (tmp_path / "restored" / "photo 01.png").read_bytes()
    pq.write_table(pa.table({"image": [photo]}), tmp_path / "p.parquet")
    run = RunPaths(run_in_process(job).run)
    for name in ("00000001.png", "00000000"):
        write(str(out / "p.parquet" / name), b"x")
    delete(run.commit(0))
    found = {o.entry.key for o in find_orphans(run, time.time() + 60) if o.kind is OrphanKind.RESULT}
    assert found == {"p.parquet/00000000.png", "p.parquet/00000000"}
