"""Orphaned files: those that nothing names are removed, whatever else happens meanwhile; all others stay."""

import json
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline.calibration import Side, calibration_of_run
from pipeline.errors import RunError, StorageError
from pipeline.maintenance import orphans
from pipeline.maintenance.orphans import OrphanKind, find_orphans, remove_orphans
from pipeline.maintenance.verify import verify_run
from pipeline.progress import NullProgress
from pipeline.runs.attempt_names import new_attempt_name
from pipeline.runs.commits import read_commit
from pipeline.runs.manifest import read_manifest_file, write_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.rows import new_row
from pipeline.storage import Entry
from pipeline.storage.objects import delete, read, sha256_hex, write
from tests.support.committed_files import iter_commits
from tests.support.in_process_pool import run_in_process
from tests.support.json_commands import run_json_command

TEMPORARY = f".{0:032x}.partial"


def write_uncommitted(run, uri, data):
    """Write a manifest file as an attempt at shard 0 whose driver was killed would leave it; returns its path."""
    row = new_row(Entry(f"{uri}.in", "x.png", 1, "", 1.0), 0, 1)
    row |= {"status": "ok", "output_uri": uri, "output_sha256": sha256_hex(data), "output_bytes": len(data)}
    return run.manifest(write_manifest_file(run, f"{new_attempt_name(run, 0, 1)}.parquet", [row]).name)


def find_keys(run, *kinds):
    found = find_orphans(run, time.time() + 60)
    return {orphan.entry.key for orphan in found if not kinds or orphan.kind in kinds}


def test_gc_removes_only_files_that_nothing_names(make_job, tmp_path, capsys):
    job = make_job()
    run = RunPaths(run_in_process(job).run)
    out = tmp_path / "enhanced"
    assert list(find_orphans(run, time.time() + 60)) == []
    kept = {str(path): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    (tmp_path / "restored" / "photo 99.png").write_bytes(b"broken")
    assert run_in_process(job).failed == 1
    left = [run.manifest("00000-1-dead.parquet"), f"{run.uri}/{TEMPORARY}", str(out / TEMPORARY)]
    calibration = calibration_of_run(run)
    left.append(calibration.merged(calibration.moments(Side.SOURCE, 0), range(9)))
    left.append(str(out / "photo 01.png.old"))
    mine = [str(out / "notes of the archivist.png"), str(out / "photo 99.png")]
    for path in [*left, *mine]:
        write(path, b"left behind")
    write_uncommitted(run, left[-1], b"left behind")
    assert list(find_orphans(run, time.time() - 3600)) == [], "a driver may still be using them"
    status, numbers = run_json_command(capsys, "gc", run.uri, "--older-than", "0s", "--dry-run")
    assert (status, numbers["removed"], numbers["found"]) == (0, 0, 6)
    status, numbers = run_json_command(capsys, "gc", run.uri, "--older-than", "0s")
    assert (status, numbers["removed"]) == (0, 6)
    assert (numbers["manifest_files"], numbers["partials"], numbers["results"]) == (2, 2, 1)
    assert numbers["merged_files"] == 1
    assert not any(os.path.exists(path) for path in left)
    assert all(os.path.exists(path) for path in mine)
    assert all(os.path.exists(path) for path in kept)
    assert verify_run(run, NullProgress()).findings == ()


def test_find_orphans_leaves_results_of_another_run(make_job, tmp_path):
    first = RunPaths(run_in_process(make_job()).run)
    write(str(tmp_path / "enhanced" / "_owner.json"), json.dumps({"run": "another"}).encode())
    (tmp_path / "enhanced" / "photo 01.png").unlink()
    write(first.manifest("00000-1-dead.parquet"), b"x")
    assert {orphan.kind for orphan in find_orphans(first, time.time() + 60)} == {OrphanKind.MANIFEST_FILE}
    write(first.commit(0), b"{")
    with pytest.raises(RunError, match="is not a commit"):
        list(remove_orphans(find_orphans(first, time.time() + 60)))


def test_gc_measures_ages_by_the_clock_of_the_storage(make_job, monkeypatch, capsys):
    """This machine's clock may be days ahead, and a file that was just written may be in use."""
    run = RunPaths(run_in_process(make_job()).run)
    write(run.manifest("00000-1-0a7e.parquet"), b"of a shard in progress")
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 10 * 86400)
    assert run_json_command(capsys, "gc", run.uri)[1]["removed"] == 0
    os.utime(run.manifest("00000-1-0a7e.parquet"), (now - 86401,) * 2)
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
        write(run.manifest(f"00000-{number}-0.parquet"), b"x")
    monkeypatch.setattr(orphans, "_RECHECK_BATCH", 3)
    assert len(list(find_orphans(run, time.time() + 60))) == 7


def test_find_orphans_without_a_manifest_file_fails(make_job):
    run = RunPaths(run_in_process(make_job()).run)
    file = dict(iter_commits(run))[0][0]
    delete(run.manifest(file.name))
    with pytest.raises(RunError, match=r"is missing: run .* --requeue"):
        next(find_orphans(run, time.time() + 60))


@pytest.mark.parametrize(("layout", "suffix"), [("webdataset", "tar"), ("parquet", "parquet")])
def test_find_orphans_finds_tars_and_parquet_files_of_abandoned_attempts(make_job, tmp_path, layout, suffix):
    """Of those that were killed before they wrote a manifest file too; names that no attempt of the run has stay."""
    out = tmp_path / "enhanced"
    job = make_job(output={"uri": str(out), "layout": layout})
    run = RunPaths(run_in_process(job).run)
    assert find_keys(run) == set()
    left = {f"{new_attempt_name(run, shard, attempt)}.{suffix}" for shard in (1, 7) for attempt in (1, 2)}
    other = RunPaths(f"{tmp_path}/_deepot/0123456789abcdef")
    mine = {f"{new_attempt_name(other, 1, 1)}.{suffix}", f"sub/{min(left)}", f"{min(left)}.{suffix}", f"x{min(left)}"}
    mine |= {f"00001{end}.{suffix}" for end in ("", "-0", "-1-abcd", "-1-0123456789ab")}
    for name in left | mine:
        write(str(out / name), b"x")
    (requeued,) = out.glob(f"00002-*.{suffix}")
    delete(run.commit(2))
    assert find_keys(run, OrphanKind.RESULT) == left | {requeued.name}
    list(remove_orphans(find_orphans(run, time.time() + 60)))
    assert mine <= {str(path.relative_to(out)) for path in out.rglob("*")}
    assert not left & set(os.listdir(out))
    assert run_in_process(job).ok == 6
    assert verify_run(run, NullProgress()).findings == ()


@pytest.mark.parametrize(("layout", "suffix"), [("webdataset", "tar"), ("parquet", "parquet")])
def test_find_orphans_finds_shard_files_of_an_earlier_version_by_their_rows(make_job, tmp_path, layout, suffix):
    """They were called 00002.tar; one of that name that holds something else stays."""
    out = tmp_path / "enhanced"
    run = RunPaths(run_in_process(make_job(output={"uri": str(out), "layout": layout})).run)
    for number, path in enumerate(sorted(out.glob(f"*.{suffix}"))[:2]):
        (file,) = read_commit(run, number)
        rows = read_manifest_file(run, file).to_pylist()
        old = f"{number:05d}.{suffix}"
        for row in rows:
            row["output_uri"] = row["output_uri"].replace(path.name, old)
        write_manifest_file(run, f"{number:05d}-1-0123abcd.parquet", rows)
        (out / old).write_bytes(path.read_bytes() if number == 0 else b"of somebody else")
    assert find_keys(run, OrphanKind.RESULT) == {f"00000.{suffix}"}


def test_find_orphans_leaves_what_no_run_wrote(make_job, tmp_path):
    """Names of planned photos, of temporary files and of manifest files are no proof."""
    out, job = tmp_path / "enhanced", make_job()
    for name in ("empty.png", "bad.png", "sub/bad.png"):
        (tmp_path / "restored" / name).write_bytes(b"broken" if "bad" in name else b"")
    run = RunPaths(run_in_process(job).run)
    mine = ["bad.png", "empty.png", "sub/bad.png", "bad.png.png", "photo 01.tif", "_owner.json.bak"]
    mine += [".notes.partial", ".partial", f"x{TEMPORARY}", f".{0:040x}.partial", "_deepot/notes.parquet"]
    for path in [str(out / name) for name in mine] + [run.manifest("mine.parquet"), run.manifest("00001.parquet")]:
        write(path, b"by hand")
    assert find_keys(run) == set()


def test_find_orphans_leaves_a_file_that_replaced_a_requeued_result(make_job, tmp_path):
    out = tmp_path / "enhanced"
    run = RunPaths(run_in_process(make_job()).run)
    (file,) = read_commit(run, 0)
    first, second = (row["output_uri"] for row in read_manifest_file(run, file).to_pylist())
    delete(run.commit(0))
    write(first, b"retouched by hand")
    assert find_keys(run, OrphanKind.RESULT) == {os.path.relpath(second, out)}
    write_uncommitted(run, first, b"retouched by hand")
    assert find_keys(run, OrphanKind.RESULT) == {os.path.relpath(uri, out) for uri in (first, second)}


def test_find_orphans_leaves_results_outside_of_the_output_folder(make_job, tmp_path):
    run = RunPaths(run_in_process(make_job()).run)
    for name in ("restored/photo 01.png", "enhanced-2/photo 01.png"):
        write(str(tmp_path / name), b"data")
        write_uncommitted(run, str(tmp_path / name), b"data")
    assert find_keys(run, OrphanKind.RESULT) == set()


def test_find_orphans_counts_a_result_of_several_attempts_once(make_job, tmp_path):
    run = RunPaths(run_in_process(make_job()).run)
    uri = str(tmp_path / "enhanced" / "x.png")
    write(uri, b"data")
    for _ in range(3):
        write_uncommitted(run, uri, b"data")
    found = [orphan.kind for orphan in find_orphans(run, time.time() + 60)]
    assert found == [OrphanKind.RESULT, *3 * [OrphanKind.MANIFEST_FILE]]


def test_remove_orphans_keeps_manifest_files_until_their_results_are_gone(make_job, tmp_path, monkeypatch):
    run = RunPaths(run_in_process(make_job()).run)
    delete(run.commit(0))
    found = list(find_orphans(run, time.time() + 60))

    def delete_no_photo(uri):
        if uri.endswith(".png"):
            raise StorageError(uri)
        delete(uri)

    monkeypatch.setattr(orphans, "delete", delete_no_photo)
    with pytest.raises(StorageError, match="photo 01"):
        list(remove_orphans(found))
    assert list(find_orphans(run, time.time() + 60)) == found


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
    assert found == {"p.parquet/00000000.png"}
