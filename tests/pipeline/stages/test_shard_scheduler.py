"""The driver's side of apply, against a crew in this process that finishes in any order and dies on purpose."""

import random
from collections import deque

import pytest

from pipeline.errors import RunError
from pipeline.progress import NullProgress
from pipeline.runs.commits import commit, iter_commits
from pipeline.runs.manifest import read_manifest, write_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.rows import new_row
from pipeline.runs.sharding import split_into_shards
from pipeline.stages.shard_scheduler import ShardScheduler
from pipeline.storage.objects import Entry, read, write
from pipeline.workers.pool import WorkerDiedError, WorkerOutOfMemoryError
from pipeline.workers.watchdog import ImageTimeoutError


class FakeWorkerPool:
    """Writes a row for each image; dies with everything in flight when it meets a poisonous one."""

    def __init__(self, run, poison=(), seed=0, lose=False, death=WorkerDiedError):
        self.run, self.poison, self.lose, self.death = run, set(poison), lose, death
        self.random = random.Random(seed)
        self.flying, self.results, self.submitted = [], deque(), []

    def free_slots(self):
        return 4 - len(self.flying) - len(self.results)

    def submit(self, item, *, exclusive=False):
        assert not exclusive or not (self.flying or self.results)
        self.flying.append(item)
        self.submitted.append(item)

    def wait(self):
        if not self.results:
            self._work()
        return self.results.popleft()

    def _work(self):
        self.random.shuffle(self.flying)
        work = self.flying.pop()
        if self.poison & {entry.key for entry in work.entries}:
            self.results.extend((dead, self.death()) for dead in [work, *self.flying])
            self.flying.clear()
            return
        rows = [new_row(entry, work.shard, work.attempt) | {"status": "ok"} for entry in work.entries]
        name = f"{work.shard:05d}-{work.attempt}-{self.random.random()}.parquet"
        self.results.append((work, write_manifest_file(self.run, name, rows[: len(rows) - self.lose])))


@pytest.fixture
def run(tmp_path):
    run = RunPaths(str(tmp_path))
    write(run.run_json, b"{}")
    return run


def shards(count=20, each=4):
    return list(split_into_shards([Entry(f"u{i:02d}", f"k{i:02d}", 1, "", 0.0) for i in range(count)], each))


@pytest.mark.parametrize("seed", range(5))
def test_every_image_has_one_row_in_any_order(run, seed):
    done = ShardScheduler(run, FakeWorkerPool(run, seed=seed), NullProgress()).run_shards(shards())
    rows = read_manifest(run).to_pylist()
    assert done == len(rows) == 20
    assert sorted(row["file_name"] for row in rows) == [f"k{i:02d}" for i in range(20)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("poison", [["k06"], ["k00", "k19"], ["k04", "k05", "k06", "k07"]])
def test_a_poisonous_image_costs_its_own_row_alone(run, poison, seed):
    ShardScheduler(run, FakeWorkerPool(run, poison, seed), NullProgress()).run_shards(shards())
    rows = {row["file_name"]: row for row in read_manifest(run).to_pylist()}
    assert len(rows) == 20
    assert {key for key, row in rows.items() if row["status"] == "failed"} == set(poison)
    assert all(rows[key]["error_code"] == "worker_died" and rows[key]["retriable"] for key in poison)


def test_workers_that_die_over_everything_stop_the_job(run):
    """A broken driver or device would make failed rows of an archive, a worker's start for each."""
    everything = [f"k{i:02d}" for i in range(4000)]
    crew = FakeWorkerPool(run, everything)
    with pytest.raises(RunError, match=r"8 images each crashed a worker.*nothing has succeeded.*check the workers"):
        ShardScheduler(run, crew, NullProgress()).run_shards(shards(4000))
    assert len(crew.submitted) < 100
    assert read_manifest(run).num_rows < 8


def test_where_only_deadly_shards_are_left_they_are_searched_and_done(run):
    """As a run that is gone on with may have them: each has one photo that kills, and nothing else is to be done."""
    poison = [f"k{i:02d}" for i in range(1, 200, 4)]
    ShardScheduler(run, FakeWorkerPool(run, poison), NullProgress()).run_shards(shards(200))
    rows = {row["file_name"]: row["error_code"] for row in read_manifest(run).to_pylist()}
    assert len(rows) == 200
    assert {name for name, code in rows.items() if code} == set(poison)


def test_memory_that_is_not_back_yet_fails_no_image_that_is_alone(run):
    class Slow(FakeWorkerPool):
        """Ends the work after the poisonous one too, the first time that this is an image alone."""

        late = False

        def _work(self):
            alone = self.flying[-1].entries if len(self.flying[-1].entries) == 1 else ()
            if alone and alone[0].key == "k07" and not self.late:
                self.late = True
                self.results.append((self.flying.pop(), self.death()))
                return
            super()._work()

    crew = Slow(run, ["k06"], death=WorkerOutOfMemoryError)
    ShardScheduler(run, crew, NullProgress()).run_shards(shards())
    assert crew.late
    rows = read_manifest(run).to_pylist()
    assert {row["file_name"] for row in rows if row["status"] == "failed"} == {"k06"}
    assert len(rows) == 20


def test_memory_that_is_not_back_after_each_try_fails_no_other_image(run):
    class Lingering(FakeWorkerPool):
        """Ends whatever comes right behind the poisonous image, too, where images are alone."""

        before = None

        def _work(self):
            work = self.flying[-1]
            after, self.before = self.before, work.entries[0].key if len(work.entries) == 1 else None
            if after == "k06" and self.before:
                self.results.append((self.flying.pop(), self.death()))
            else:
                super()._work()

    ShardScheduler(run, Lingering(run, ["k06"], death=WorkerOutOfMemoryError), NullProgress()).run_shards(shards())
    rows = read_manifest(run).to_pylist()
    assert {row["file_name"] for row in rows if row["status"] == "failed"} == {"k06"}
    assert len(rows) == 20


def test_an_image_for_which_memory_is_short_says_so(run):
    """Whoever else was ended for it is done."""
    ShardScheduler(run, FakeWorkerPool(run, ["k06"], death=WorkerOutOfMemoryError), NullProgress()).run_shards(shards())
    rows = {row["file_name"]: row for row in read_manifest(run).to_pylist()}
    failed = {key: (row["error_code"], row["retriable"]) for key, row in rows.items() if row["status"] == "failed"}
    assert (len(rows), failed) == (20, {"k06": ("out_of_memory", True)})
    assert "ran out of memory while it processed this image alone" in rows["k06"]["error_message"]


def test_the_other_driver_wins_or_loses_but_never_both(run):
    (shard,) = shards(4)
    other = write_manifest_file(
        run, "other.parquet", [new_row(entry, 0, 1) | {"status": "ok"} for entry in shard.entries]
    )
    assert commit(run, 0, [other])
    assert ShardScheduler(run, FakeWorkerPool(run), NullProgress()).run_shards([shard]) == 0
    assert [part.name for part in dict(iter_commits(run))[0]] == ["other.parquet"]


def test_a_lost_row_stops_the_run(run):
    with pytest.raises(RunError, match="given 4 images and returned 3 rows"):
        ShardScheduler(run, FakeWorkerPool(run, lose=True), NullProgress()).run_shards(shards(4))


def test_what_is_left_of_a_piece_beside_a_hanging_image_stays_that_piece(run):
    """Results of a piece may be one file, named after it: a larger piece's file would be taken for a dead worker's."""

    class Crew(FakeWorkerPool):
        def _work(self):
            work = self.flying.pop()
            if len(work.entries) == 4:
                self.results.append((work, WorkerDiedError()))
            elif work.entries[0].key == "k00" and len(work.entries) > 1:
                self.results.append((work, ImageTimeoutError("u00")))
            else:
                self.flying.append(work)
                super()._work()

    crew = Crew(run)
    ShardScheduler(run, crew, NullProgress()).run_shards(shards(4, 4))
    tried = [(work.split_path, len(work.entries)) for work in crew.submitted]
    assert sorted(tried) == [("", 4), ("", 4), ("", 4), ("0", 1), ("0", 2), ("1", 2)]
    rows = {row["file_name"]: row["error_code"] for row in read_manifest(run).to_pylist()}
    assert rows == {"k00": "timed_out", "k01": None, "k02": None, "k03": None}


def test_a_manifest_part_that_changed_after_its_commit_is_noticed(run, tmp_path):
    ShardScheduler(run, FakeWorkerPool(run), NullProgress()).run_shards(shards(4))
    (part,) = dict(iter_commits(run))[0]
    path = tmp_path / "manifest" / part.name
    path.write_bytes(read(str(path)) + b" ")
    with pytest.raises(RunError, match="its sha256 differs"):
        read_manifest(run)
