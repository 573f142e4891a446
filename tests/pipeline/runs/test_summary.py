"""How far a run is, seen from outside: what a look reads, what it says, and what `deepot status --watch` shows."""

import json
import time
from types import SimpleNamespace

import pytest

from jobs.cli import main
from pipeline.runs import commits
from pipeline.runs import numbered_files as series
from pipeline.runs import summary as summing
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


def listed(count):
    return [Entry(f"u{i:02d}", f"k{i:02d}", 1, "", 0.0) for i in range(count)]


def do(run, number, **row):
    """Commit a shard whose rows are as given."""
    shard = next(shard for shard in read_plan(run) if shard.number == number)
    rows = [new_row(entry, number, 1) | {"status": "ok"} | row for entry in shard.entries]
    assert commit(run, number, [write_manifest_file(run, f"{number:05d}-1-x.parquet", rows)])


def test_a_run_without_a_plan_is_not_complete(run):
    assert not summarize_run(run).complete
    extend_plan(run, listed(2), 2)
    assert not summarize_run(run).complete
    do(run, 0)
    assert summarize_run(run).complete


def test_a_look_reads_only_what_is_new(run, monkeypatch):
    reads = []
    for module, name in ((commits, "read"), (series, "open_ranged")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda uri, real=real: reads.append(uri.rpartition("/")[2]) or real(uri))
    extend_plan(run, listed(6), 2)
    do(run, 1)
    do(run, 0, status="failed", error_code="damaged")
    tally = RunProgress(run)
    for more, expected in [
        (lambda: None, ["00000.json", "00001.json", "plan-0001.parquet"]),
        (lambda: None, []),
        (lambda: do(run, 2), ["00002.json"]),
        (lambda: extend_plan(run, listed(7), 2), ["plan-0002.parquet"]),
        (lambda: delete(run.commit(1)), ["00000.json", "00002.json", "plan-0001.parquet", "plan-0002.parquet"]),
    ]:
        more()
        reads.clear()
        found = tally.poll()
        assert sorted(reads) == expected
        assert found == summarize_run(run)
    assert (found.inputs, found.ok, found.failed, found.codes) == (7, 2, 2, {"damaged": 2})


def test_a_run_that_another_driver_has_planned_more_of_does_not_look_finished(run, monkeypatch):
    """Summing up a large run takes an hour; _SUCCESS.json is for readers who look at nothing else."""
    extend_plan(run, listed(2), 2)
    do(run, 0)
    real = summing.write

    def put_late(uri, data):
        extend_plan(run, listed(4), 2)
        real(uri, data)

    with monkeypatch.context() as patch:
        patch.setattr(summing, "write", put_late)
        assert finalize_run(run, 0, 0.0).complete
    assert not exists(run.success_marker)
    do(run, 1)
    assert finalize_run(run, 0, 0.0).complete
    assert exists(run.success_marker)


def test_who_may_not_delete_plans_and_finishes_a_run(run, monkeypatch):
    monkeypatch.setattr("pipeline.runs.plan.delete", None)
    extend_plan(run, listed(2), 2)
    do(run, 0)
    assert finalize_run(run, 0, 0.0).complete


def test_the_rate_is_that_of_the_last_ten_minutes():
    pace = ThroughputMeter()
    assert pace.images_per_s is None
    pace.add(0, 100)
    assert pace.images_per_s is pace.remaining_s(5) is None, "one look tells nothing"
    pace.add(10, 120)
    assert (pace.images_per_s, pace.remaining_s(30)) == (2, 15)
    for at in range(20, int(2 * WINDOW_S) + 1, 10):
        pace.add(at, 120 + at)
    assert pace.images_per_s == pytest.approx(1)
    pace.add(at + 10, 50)
    assert pace.images_per_s is None, "commits were taken back: what was before says nothing of what is to come"
    for at in range(2000, 2000 + 2 * int(WINDOW_S), 10):
        pace.add(at, 50)
    assert pace.images_per_s is None, "a run that stands still has no end in sight"


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_watching_ends_with_the_run(storage_folder, monkeypatch, capsys, flags):
    """Wherever the run lies."""
    run = RunPaths(f"{storage_folder}/run")
    write(run.run_json, b"{}")
    extend_plan(run, listed(4), 2)
    steps = iter([lambda: do(run, 0), lambda: do(run, 1, status="failed", error_code="damaged")])
    slept, clock = [], [0.0]

    def sleep(seconds):
        slept.append(seconds)
        clock[0] += seconds
        next(steps)()

    ours = SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0], strftime=time.strftime)
    monkeypatch.setattr("jobs.status.time", ours)
    assert main(["status", run.uri, "--watch", "4", *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert slept == [4, 4]
    if flags:
        first, second, last = map(json.loads, lines)
        assert (first["ok"], first["images_per_s"], first["left_s"]) == (0, None, None)
        assert (second["ok"], second["images_per_s"], second["left_s"], second["complete"]) == (2, 0.5, 4, False)
        assert (last["failed"], last["codes"], last["complete"]) == (2, {"damaged": 2}, True)
    else:
        assert lines[0].endswith("0 of 4 (0.0%): 0 ok, 0 skipped, 0 failed")
        assert lines[1].endswith("2 of 4 (50.0%): 2 ok, 0 skipped, 0 failed, 0.5 images/s, 0:00:04 left")
        assert lines[2:] == [lines[2], "         2 × damaged"]


@pytest.mark.parametrize("seconds", ["0", "nan", "-1", "soon"])
def test_a_watch_that_cannot_be_meant(run, seconds, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["status", run.uri, f"--watch={seconds}"])
    assert "--watch" in capsys.readouterr().err
