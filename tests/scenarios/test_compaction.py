"""Compactions, garbage collections and readers of one run: whatever is killed, or runs in between, no row is lost."""

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import count

import pytest

from pipeline.maintenance import find_orphans, orphans, remove_orphans, verify, verify_run
from pipeline.progress import NullProgress
from pipeline.runs import (
    OWNER_FILE,
    RunPaths,
    ShardSet,
    commit,
    compact_run,
    fold_shards,
    iter_committed_rows,
    list_committed_shards,
    list_segments,
    new_attempt_name,
    new_row,
    read_manifest,
    write_manifest_file,
)
from pipeline.storage import Entry, delete, prefetch, probes, resolve, s3_store, sha256_hex, write
from tests.support.faulty_bucket import Crash, Fate, FaultyBucket, InlineExecutor
from tests.support.small_segments import use_small_segments

RUN, OUTPUT = RunPaths("s3://model/run"), "s3://model/out"
EVERY_REQUEST = pytest.mark.parametrize(
    "step", [11, pytest.param(1, marks=[pytest.mark.soak, pytest.mark.timeout(600)])]
)
"""Every eleventh request is interrupted, and each of them with the soak tests."""
N_SHARDS, ROWS_PER_SHARD = 6, 2


class ClockedBucket(FaultyBucket):
    """A bucket that dates its objects: one second later for each request."""

    def __init__(self, has_etags):
        super().__init__(has_etags)
        self.now, self.times = 1e9, {}

    def pipe_file(self, path, data, mode="overwrite"):
        before = self.objects.get(path)
        try:
            super().pipe_file(path, data, mode)
        finally:
            if self.objects.get(path) is not before:
                self.times[path] = self.now

    def _request(self, act, write=False):
        self.now += 1
        return super()._request(act, write)

    def modified(self, path):
        return datetime.fromtimestamp(self.times[path], UTC)


def commit_shard(shard, attempt):
    """Commit a shard of photos with results; returns its rows."""
    rows = []
    for number in range(ROWS_PER_SHARD):
        name = f"{shard}-{number}.png"
        write(f"{OUTPUT}/{name}", name.encode())
        row = new_row(Entry(f"s3://model/in/{name}", name, 1, "", 1.0), shard, attempt)
        result = {"output_uri": f"{OUTPUT}/{name}", "output_sha256": sha256_hex(name.encode()), "status": "ok"}
        rows.append(row | result | {"sharpness": float(attempt)})
    name = f"{new_attempt_name(RUN, shard, attempt)}.parquet"
    assert commit(RUN, shard, [write_manifest_file(RUN, name, rows)])
    return rows


@pytest.fixture(params=[True, False], ids=["etags", "no etags"])
def bucket(request, monkeypatch):
    """A bucket with a run of a few shards, some of which are in small segments already."""
    bucket = ClockedBucket(request.param)
    monkeypatch.setattr(resolve, "resolve_filesystem", lambda uri: (bucket, uri.removeprefix("s3://")))
    monkeypatch.setattr(s3_store, "fetch_page", lambda fs, parameters: fs.list_page(parameters))
    monkeypatch.setattr(probes, "_PROBE_RESULTS", {"model": True})
    monkeypatch.setattr(prefetch, "ThreadPoolExecutor", InlineExecutor)
    monkeypatch.setattr(verify, "ThreadPoolExecutor", InlineExecutor)
    monkeypatch.setattr("pipeline.storage.retries._sleep", lambda _: None)
    use_small_segments(monkeypatch)
    output = {"uri": OUTPUT}
    job = {"input": "s3://model/in", "output": output, "map": "s3://model/map"}
    write(RUN.run_json, json.dumps({"job": job}).encode())
    write("s3://model/map", b"a map")
    write(f"{OUTPUT}/{OWNER_FILE}", json.dumps({"run": RUN.uri}).encode())
    for shard in range(N_SHARDS):
        commit_shard(shard, 1)
    fold_shards(RUN, ShardSet([1]))
    fold_shards(RUN, ShardSet([4]))
    return bucket


def collect_garbage(bucket):
    bucket.now += 1  # what has just been written is older than this
    return list(remove_orphans(find_orphans(RUN, bucket.now)))


ACTIONS = {
    "compact": lambda bucket: compact_run(RUN),
    "gc": collect_garbage,
    "compact, gc": lambda bucket: (compact_run(RUN), collect_garbage(bucket)),
    "gc, compact, gc": lambda bucket: (collect_garbage(bucket), compact_run(RUN), collect_garbage(bucket)),
    "compact, gc, compact, gc": lambda bucket: [
        (fold_shards(RUN, list_committed_shards(RUN)), collect_garbage(bucket)) for _ in range(2)
    ],
    "read": lambda bucket: read_manifest(RUN),
    "verify": lambda bucket: verify_run(RUN, NullProgress()),
}


def check_rows(expected):
    assert read_manifest(RUN).equals(expected), "the same rows in the same order"
    assert verify_run(RUN, NullProgress()).findings == ()


def finish(bucket, expected):
    """Compact and collect garbage until nothing is left to do; all rows are in segments then, and nowhere else."""
    compact_run(RUN)
    collect_garbage(bucket)
    compact_run(RUN)
    collect_garbage(bucket)
    check_rows(expected)
    before = dict(bucket.objects)
    assert compact_run(RUN).segments == 0 and collect_garbage(bucket) == []
    assert bucket.objects == before
    assert not [path for path in before if "/run/manifest/" in path]
    kept = {name for name in list_segments(RUN)}
    assert {path.rpartition("/")[2].partition(".")[0] for path in before if "/run/segments/" in path} == kept


def interrupt(bucket, action, number, interruption):
    """Run an action, and something else before its request of this number.

    Returns what the action returns, and whether there was such a request.
    """
    requests = count()

    def ask():
        if next(requests) == number:
            bucket.ask = lambda: Fate.DONE
            return interruption() or Fate.DONE
        return Fate.DONE

    bucket.ask = ask
    try:
        result = ACTIONS[action](bucket)
    finally:
        bucket.ask = lambda: Fate.DONE
    return result, next(requests) > number


@EVERY_REQUEST
@pytest.mark.parametrize("fate", [Fate.CRASH_BEFORE, Fate.CRASH_AFTER])
@pytest.mark.parametrize("name", ["compact", "compact, gc", "compact, gc, compact, gc"])
def test_kill_at_any_request_leaves_all_rows_and_the_next_calls_finish(bucket, name, fate, step):
    expected, start, start_times = read_manifest(RUN), dict(bucket.objects), dict(bucket.times)
    for number in count(0, step):
        bucket.objects, bucket.times = dict(start), dict(start_times)
        try:
            interrupt(bucket, name, number, lambda: fate)
        except Crash:
            check_rows(expected)
            finish(bucket, expected)
        else:
            break
    assert number >= 11, "there were such requests"


@EVERY_REQUEST
@pytest.mark.parametrize("between", ["compact", "gc", "compact, gc", "gc, compact, gc", "compact, gc, compact, gc"])
@pytest.mark.parametrize("name", ["read", "verify", "compact", "gc", "compact, gc"])
def test_whatever_happens_before_any_request_all_rows_stay(bucket, name, between, step):
    expected, start, start_times = read_manifest(RUN), dict(bucket.objects), dict(bucket.times)
    for number in count(0, step):
        bucket.objects, bucket.times = dict(start), dict(start_times)
        found, is_interrupted = interrupt(bucket, name, number, lambda: ACTIONS[between](bucket) and None)
        if name == "read":
            assert found.equals(expected)
        elif name == "verify":
            assert (found.findings, found.n_checked) == ((), len(expected))
        check_rows(expected)
        finish(bucket, expected)
        if not is_interrupted:
            break
    assert number >= 11, "there were such requests"


@EVERY_REQUEST
@pytest.mark.parametrize("name", ["read", "compact", "gc", "compact, gc"])
def test_shard_that_is_processed_again_before_any_request_has_its_new_rows_or_the_old_ones(bucket, name, step):
    start, start_times = dict(bucket.objects), dict(bucket.times)
    old = read_manifest(RUN).to_pylist()

    def process_again():
        delete(RUN.commit(4))
        commit_shard(4, 2)

    for number in count(0, step):
        bucket.objects, bucket.times = dict(start), dict(start_times)
        found, is_interrupted = interrupt(bucket, name, number, process_again)
        if name == "read":
            names = Counter(row["file_name"] for row in found.to_pylist())
            assert set(names.values()) == {1}, "no row comes twice"
            assert {row["file_name"] for row in old if row["shard"] != 4} <= names.keys()
        if is_interrupted:
            rows = read_manifest(RUN).to_pylist()
            assert [row["sharpness"] for row in rows] == [2.0 if row["shard"] == 4 else 1.0 for row in rows]
            finish(bucket, read_manifest(RUN))
        else:
            break
    assert number >= 11, "there were such requests"


def test_late_request_that_brings_back_an_earlier_commit_brings_back_its_rows(bucket):
    earlier = bucket.objects["model/run/commits/00004.json"]
    collect_garbage(bucket)
    delete(RUN.commit(4))
    commit_shard(4, 2)
    fold_shards(RUN, ShardSet([4]))
    assert {row["sharpness"] for row in read_manifest(RUN).to_pylist() if row["shard"] == 4} == {2.0}
    bucket.objects["model/run/commits/00004.json"] = earlier
    assert {row["sharpness"] for row in read_manifest(RUN).to_pylist() if row["shard"] == 4} == {1.0}


def test_rows_that_two_segments_hold_come_once(bucket):
    expected = read_manifest(RUN)
    for _ in range(3):
        fold_shards(RUN, list_committed_shards(RUN))
    rows = list(iter_committed_rows(RUN))
    assert {each.segment.partition("-")[0] for each in rows} == {"000005"}, "the latest"
    check_rows(expected)


def test_segment_that_lost_its_rows_is_not_used_and_is_removed(bucket):
    expected = read_manifest(RUN)
    compact_run(RUN)
    for name in list_segments(RUN):
        delete(RUN.segment(f"{name}.parquet"))
    check_rows(expected)
    finish(bucket, expected)


def test_gc_of_a_compacted_run_looks_at_no_result(bucket, monkeypatch):
    compact_run(RUN)
    monkeypatch.setattr(orphans, "stat", None)
    monkeypatch.setattr(orphans, "read_uncommitted_rows", None)
    assert sum(orphan.entry.key.startswith("manifest/") for orphan in collect_garbage(bucket)) == N_SHARDS
