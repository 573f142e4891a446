"""The shard scheduler with a pool in this process that finishes in any order and whose workers die on purpose."""

import random
from collections import deque

import pytest

from pipeline.errors import RunError
from pipeline.progress import NullProgress
from pipeline.runs.commits import commit
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.rows import new_row
from pipeline.runs.sharding import split_into_shards
from pipeline.stages.shard_scheduler import ShardScheduler
from pipeline.storage.objects import Entry, read, write
from pipeline.workers.pool import WorkerDiedError, WorkerOutOfMemoryError
from pipeline.workers.watchdog import ImageTimeoutError
from tests.support.committed_files import iter_commits


class FakeWorkerPool:
    """Writes a row for each image; a crashing image loses everything in flight."""

    def __init__(self, run, crashing=(), seed=0, lose=False, death=WorkerDiedError):
        self.run, self.crashing, self.lose, self.death = run, set(crashing), lose, death
        self.random = random.Random(seed)
        self.in_flight, self.results, self.submitted = [], deque(), []

    def free_slots(self):
        return 4 - len(self.in_flight) - len(self.results)

    def submit(self, item, *, exclusive=False):
        assert not exclusive or not (self.in_flight or self.results)
        self.in_flight.append(item)
        self.submitted.append(item)

    def wait(self):
        if not self.results:
            self._process()
        return self.results.popleft()

    def _process(self):
        self.random.shuffle(self.in_flight)
        item = self.in_flight.pop()
        if self.crashing & {entry.key for entry in item.entries}:
            self.results.extend((lost, self.death()) for lost in [item, *self.in_flight])
            self.in_flight.clear()
            return
        rows = [new_row(entry, item.shard, item.attempt) | {"status": "ok"} for entry in item.entries]
        name = f"{item.shard:05d}-{item.attempt}-{self.random.random()}.parquet"
        self.results.append((item, write_manifest_file(self.run, name, rows[: len(rows) - self.lose])))


@pytest.fixture
def run(tmp_path):
    run = RunPaths(str(tmp_path))
    write(run.run_json, b"{}")
    return run


def shards(count=20, each=4):
    return list(split_into_shards([Entry(f"u{i:02d}", f"k{i:02d}", 1, "", 0.0) for i in range(count)], each))


@pytest.mark.parametrize("seed", range(5))
def test_run_shards_gives_every_image_one_row_in_any_order(run, seed):
    done = ShardScheduler(run, FakeWorkerPool(run, seed=seed), NullProgress()).run_shards(shards())
    rows = read_manifest(run).to_pylist()
    assert done == len(rows) == 20
    assert sorted(row["file_name"] for row in rows) == [f"k{i:02d}" for i in range(20)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("crashing", [["k06"], ["k00", "k19"], ["k04", "k05", "k06", "k07"]])
def test_crashing_image_fails_only_its_row(run, crashing, seed):
    ShardScheduler(run, FakeWorkerPool(run, crashing, seed), NullProgress()).run_shards(shards())
    rows = {row["file_name"]: row for row in read_manifest(run).to_pylist()}
    assert len(rows) == 20
    assert {key for key, row in rows.items() if row["status"] == "failed"} == set(crashing)
    assert all(rows[key]["error_code"] == "worker_died" and rows[key]["retriable"] for key in crashing)


def test_workers_that_die_whatever_they_process_stop_the_job(run):
    """A broken driver or device would fail every image of an archive, after a worker's start for each."""
    everything = [f"k{i:02d}" for i in range(4000)]
    pool = FakeWorkerPool(run, everything)
    with pytest.raises(RunError, match=r"8 images each crashed a worker.*nothing has succeeded.*check the workers"):
        ShardScheduler(run, pool, NullProgress()).run_shards(shards(4000))
    assert len(pool.submitted) < 100
    assert read_manifest(run).num_rows < 8


def test_shards_that_all_hold_a_crashing_image_are_bisected_and_committed(run):
    """As a resumed run may have them: each has one crashing photo, and nothing else is left to do."""
    crashing = [f"k{i:02d}" for i in range(1, 200, 4)]
    ShardScheduler(run, FakeWorkerPool(run, crashing), NullProgress()).run_shards(shards(200))
    rows = {row["file_name"]: row["error_code"] for row in read_manifest(run).to_pylist()}
    assert len(rows) == 200
    assert {name for name, code in rows.items() if code} == set(crashing)


def test_memory_that_is_freed_late_once_fails_no_other_image(run):
    class FreeingLateOnce(FakeWorkerPool):
        """Also loses the item after the crashing one, the first time that this is a single image."""

        late = False

        def _process(self):
            alone = self.in_flight[-1].entries if len(self.in_flight[-1].entries) == 1 else ()
            if alone and alone[0].key == "k07" and not self.late:
                self.late = True
                self.results.append((self.in_flight.pop(), self.death()))
                return
            super()._process()

    pool = FreeingLateOnce(run, ["k06"], death=WorkerOutOfMemoryError)
    ShardScheduler(run, pool, NullProgress()).run_shards(shards())
    assert pool.late
    rows = read_manifest(run).to_pylist()
    assert {row["file_name"] for row in rows if row["status"] == "failed"} == {"k06"}
    assert len(rows) == 20


def test_memory_that_is_freed_late_each_time_fails_no_other_image(run):
    class FreeingLate(FakeWorkerPool):
        """Also loses whatever follows the crashing image, once items are single images."""

        before = None

        def _process(self):
            item = self.in_flight[-1]
            after, self.before = self.before, item.entries[0].key if len(item.entries) == 1 else None
            if after == "k06" and self.before:
                self.results.append((self.in_flight.pop(), self.death()))
            else:
                super()._process()

    ShardScheduler(run, FreeingLate(run, ["k06"], death=WorkerOutOfMemoryError), NullProgress()).run_shards(shards())
    rows = read_manifest(run).to_pylist()
    assert {row["file_name"] for row in rows if row["status"] == "failed"} == {"k06"}
    assert len(rows) == 20


def test_image_that_exhausts_the_memory_fails_with_its_code(run):
    """Items whose workers were killed beside it are processed."""
    ShardScheduler(run, FakeWorkerPool(run, ["k06"], death=WorkerOutOfMemoryError), NullProgress()).run_shards(shards())
    rows = {row["file_name"]: row for row in read_manifest(run).to_pylist()}
    failed = {key: (row["error_code"], row["retriable"]) for key, row in rows.items() if row["status"] == "failed"}
    assert (len(rows), failed) == (20, {"k06": ("out_of_memory", True)})
    assert "ran out of memory while it processed this image alone" in rows["k06"]["error_message"]


def test_shard_that_another_driver_committed_keeps_its_rows(run):
    (shard,) = shards(4)
    other = write_manifest_file(
        run, "other.parquet", [new_row(entry, 0, 1) | {"status": "ok"} for entry in shard.entries]
    )
    assert commit(run, 0, [other])
    assert ShardScheduler(run, FakeWorkerPool(run), NullProgress()).run_shards([shard]) == 0
    assert [file.name for file in dict(iter_commits(run))[0]] == ["other.parquet"]


def test_manifest_file_with_too_few_rows_stops_the_run(run):
    with pytest.raises(RunError, match="given 4 images and returned 3 rows"):
        ShardScheduler(run, FakeWorkerPool(run, lose=True), NullProgress()).run_shards(shards(4))


def test_items_beside_a_hanging_image_are_processed_without_it(run):
    class HangingPool(FakeWorkerPool):
        def _process(self):
            item = self.in_flight.pop()
            if len(item.entries) == 4:
                self.results.append((item, WorkerDiedError()))
            elif item.entries[0].key == "k00" and len(item.entries) > 1:
                self.results.append((item, ImageTimeoutError("u00")))
            else:
                self.in_flight.append(item)
                super()._process()

    pool = HangingPool(run)
    ShardScheduler(run, pool, NullProgress()).run_shards(shards(4, 4))
    assert sorted(len(item.entries) for item in pool.submitted) == [1, 2, 2, 4, 4, 4]
    rows = {row["file_name"]: row["error_code"] for row in read_manifest(run).to_pylist()}
    assert rows == {"k00": "timed_out", "k01": None, "k02": None, "k03": None}


def test_manifest_file_that_changed_after_its_commit_is_noticed(run, tmp_path):
    ShardScheduler(run, FakeWorkerPool(run), NullProgress()).run_shards(shards(4))
    (manifest_file,) = dict(iter_commits(run))[0]
    path = tmp_path / "manifest" / manifest_file.name
    path.write_bytes(read(str(path)) + b" ")
    with pytest.raises(RunError, match="its sha256 differs"):
        read_manifest(run)
