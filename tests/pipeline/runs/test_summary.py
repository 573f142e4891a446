"""The totals of a run in progress, its throughput, and what `deepot status --watch` prints."""

import json
import time
from types import SimpleNamespace

import pytest

from jobs.cli import main
from pipeline.runs import commits, numbered_files, summary
from pipeline.runs.commits import commit
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import read_plan
from pipeline.runs.planning import extend_plan
from pipeline.runs.rows import new_row
from pipeline.runs.summary import RunProgress, finalize_run, summarize_run
from pipeline.storage.folders import exists
from pipeline.storage.objects import Entry, delete, write
from pipeline.telemetry.throughput import WINDOW_S, ThroughputMeter


@pytest.fixture
def run(tmp_path):
    run = RunPaths(str(tmp_path / "run"))
    write(run.run_json, b"{}")
    return run


def make_entries(count):
    return [Entry(f"u{i:02d}", f"k{i:02d}", 1, "", 0.0) for i in range(count)]


def commit_shard(run, number, **row):
    """Commit a shard with the given values in its rows."""
    shard = next(shard for shard in read_plan(run) if shard.number == number)
    rows = [new_row(entry, number, 1) | {"status": "ok"} | row for entry in shard.entries]
    assert commit(run, number, [write_manifest_file(run, f"{number:05d}-1-x.parquet", rows)])


def test_summarize_run_without_a_plan_is_not_complete(run):
    assert not summarize_run(run).complete
    extend_plan(run, make_entries(2), 2)
    assert not summarize_run(run).complete
    commit_shard(run, 0)
    assert summarize_run(run).complete


def test_poll_reads_only_new_plan_files_and_commits(run, monkeypatch):
    reads = []
    for module, name in ((commits, "read"), (numbered_files, "open_ranged")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda uri, real=real: reads.append(uri.rpartition("/")[2]) or real(uri))
    extend_plan(run, make_entries(6), 2)
    commit_shard(run, 1)
    commit_shard(run, 0, status="failed", error_code="damaged")
    progress = RunProgress(run)
    for more, expected in [
        (lambda: None, ["00000.json", "00001.json", "plan-0001.parquet"]),
        (lambda: None, []),
        (lambda: commit_shard(run, 2), ["00002.json"]),
        (lambda: extend_plan(run, make_entries(7), 2), ["plan-0002.parquet"]),
        (lambda: delete(run.commit(1)), ["00000.json", "00002.json", "plan-0001.parquet", "plan-0002.parquet"]),
    ]:
        more()
        reads.clear()
        found = progress.poll()
        assert sorted(reads) == expected
        assert found == summarize_run(run)
    assert (found.inputs, found.ok, found.failed, found.codes) == (7, 2, 2, {"damaged": 2})


def test_finalize_run_leaves_no_success_marker_where_another_driver_extended_the_plan(run, monkeypatch):
    """Summing up a large run takes long, and some readers look at _SUCCESS.json only."""
    extend_plan(run, make_entries(2), 2)
    commit_shard(run, 0)
    real = summary.write

    def write_after_extension(uri, data):
        extend_plan(run, make_entries(4), 2)
        real(uri, data)

    with monkeypatch.context() as patch:
        patch.setattr(summary, "write", write_after_extension)
        assert finalize_run(run, 0, 0.0).complete
    assert not exists(run.success_marker)
    commit_shard(run, 1)
    assert finalize_run(run, 0, 0.0).complete
    assert exists(run.success_marker)


def test_finalize_run_completes_a_run_without_permission_to_delete(run, monkeypatch):
    monkeypatch.setattr("pipeline.runs.plan.delete", None)
    extend_plan(run, make_entries(2), 2)
    commit_shard(run, 0)
    assert finalize_run(run, 0, 0.0).complete


def test_throughput_meter_measures_the_last_ten_minutes():
    meter = ThroughputMeter()
    assert meter.images_per_s is None
    meter.add(0, 100)
    assert meter.images_per_s is meter.remaining_s(5) is None, "one measurement gives no rate"
    meter.add(10, 120)
    assert (meter.images_per_s, meter.remaining_s(30)) == (2, 15)
    for at in range(20, int(2 * WINDOW_S) + 1, 10):
        meter.add(at, 120 + at)
    assert meter.images_per_s == pytest.approx(1)
    meter.add(at + 10, 50)
    assert meter.images_per_s is None, "shards were requeued, so earlier measurements do not count"
    for at in range(2000, 2000 + 2 * int(WINDOW_S), 10):
        meter.add(at, 50)
    assert meter.images_per_s is None, "a run without progress has no remaining time"


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_status_watch_ends_with_the_run(storage_folder, monkeypatch, capsys, flags):
    run = RunPaths(f"{storage_folder}/run")
    write(run.run_json, b"{}")
    extend_plan(run, make_entries(4), 2)
    steps = iter([lambda: commit_shard(run, 0), lambda: commit_shard(run, 1, status="failed", error_code="damaged")])
    slept, clock = [], [0.0]

    def sleep(seconds):
        slept.append(seconds)
        clock[0] += seconds
        next(steps)()

    fake_time = SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0], strftime=time.strftime)
    monkeypatch.setattr("jobs.status.time", fake_time)
    assert main(["status", run.uri, "--watch", "4", *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert slept == [4, 4]
    if flags:
        first, second, last = map(json.loads, lines)
        assert (first["ok"], first["images_per_s"], first["remaining_s"]) == (0, None, None)
        assert (second["ok"], second["images_per_s"], second["remaining_s"], second["complete"]) == (2, 0.5, 4, False)
        assert (last["failed"], last["codes"], last["complete"]) == (2, {"damaged": 2}, True)
    else:
        assert lines[0].endswith("0 of 4 (0.0%): 0 ok, 0 skipped, 0 failed")
        assert lines[1].endswith("2 of 4 (50.0%): 2 ok, 0 skipped, 0 failed, 0.5 photos/s, 0:00:04 left")
        assert lines[2:] == [lines[2], "         2 × damaged"]


@pytest.mark.parametrize("seconds", ["0", "nan", "-1", "soon"])
def test_status_watch_refuses_other_intervals(run, seconds, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["status", run.uri, f"--watch={seconds}"])
    assert "--watch" in capsys.readouterr().err
