"""The scheduler over a storage that refuses everything, some images, or everything from a moment on."""

import uuid

import pytest

from pipeline.errors import AccessDeniedError
from pipeline.progress import NullProgress
from pipeline.runs.commits import list_committed_shards
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.rows import new_row
from pipeline.runs.sharding import split_into_shards
from pipeline.stages.refusal_guard import MAX_REFUSALS_IN_A_ROW
from pipeline.stages.shard_scheduler import ShardScheduler
from pipeline.storage.folders import delete_folder
from pipeline.storage.objects import Entry, read, write
from tests.support.committed_files import iter_commits

MESSAGE = "s3://archive/k: access denied on node-7: s3:// reads its credentials from AWS_PROFILE"


class RefusingPool:
    """Writes a row for each image; storage refuses those that a function names.

    Args:
        run: the run.
        refuses: number of images that were processed before, key of the image → whether it is refused.
        n_slots: the work items that are held at a time; the last one submitted is processed first if `reverse`.
    """

    def __init__(self, run, refuses, n_slots=4, reverse=False, other_code="damaged", damaged=()):
        self.run, self.refuses, self.n_slots, self.reverse = run, refuses, n_slots, reverse
        self.queue, self.n_processed, self.damaged, self.other_code = [], 0, damaged, other_code

    def free_slots(self):
        return self.n_slots - len(self.queue)

    def submit(self, item, *, exclusive=False):
        self.queue.append(item)

    def wait(self):
        item = self.queue.pop(-1 if self.reverse else 0)
        rows = [self._row(entry, item) for entry in item.entries]
        return item, write_manifest_file(self.run, f"{item.shard:05d}-{item.attempt}.parquet", rows)

    def _row(self, entry, item):
        refused = self.refuses(self.n_processed, entry.key)
        self.n_processed += 1
        row = new_row(entry, item.shard, item.attempt)
        if entry.key in self.damaged:
            return row | {"status": "failed", "error_code": self.other_code, "error_message": "broken"}
        if not refused:
            return row | {"status": "ok"}
        return row | {"status": "failed", "error_code": "access_denied", "error_message": MESSAGE, "retriable": True}


@pytest.fixture
def run():
    run = RunPaths(f"memory://{uuid.uuid4().hex}")
    write(run.run_json, b"{}")
    yield run
    delete_folder(run.uri)


def shards(count, each=4):
    return list(split_into_shards([Entry(f"u{i:04d}", f"k{i:04d}", 1, "", 0.0) for i in range(count)], each))


def run_shards(run, pool, pending):
    return ShardScheduler(run, pool, NullProgress()).run_shards(pending)


@pytest.mark.parametrize("n_slots", [1, 4, 100])
@pytest.mark.parametrize("each", [1, 32, 600])
def test_storage_that_refuses_everything_stops_the_job_and_nothing_is_committed(run, n_slots, each):
    pool = RefusingPool(run, lambda n, key: True, n_slots)
    with pytest.raises(AccessDeniedError) as caught:
        run_shards(run, pool, shards(600, each))
    assert "images in a row, and none was done in between" in str(caught.value) and MESSAGE in str(caught.value)
    assert "run the same command again" in str(caught.value)
    assert not list_committed_shards(run)
    assert pool.n_processed < MAX_REFUSALS_IN_A_ROW + each


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n_slots", [1, 2, 20])
@pytest.mark.parametrize("expired_at", [1, 37, 101, 199])
def test_credentials_that_expire_leave_nothing_that_the_next_run_would_not_do(run, expired_at, n_slots, reverse):
    """Some shards come back late, with images that were done before: they prove nothing about the others."""
    pool, pending = RefusingPool(run, lambda n, key: n >= expired_at, n_slots, reverse), shards(320, 8)
    with pytest.raises(AccessDeniedError):
        run_shards(run, pool, pending)
    done = list_committed_shards(run)
    assert {row["status"] for row in read_manifest(run).to_pylist()} <= {"ok"}
    assert len(done) == expired_at // 8
    renewed = RefusingPool(run, lambda n, key: False)
    run_shards(run, renewed, [shard for shard in pending if shard.number not in done])
    rows = read_manifest(run).to_pylist()
    assert len({row["file_name"] for row in rows}) == len(rows) == 320
    assert {row["status"] for row in rows} == {"ok"}


@pytest.mark.parametrize("n_slots", [1, 4, 100])
def test_refused_images_among_others_are_rows(run, n_slots):
    pool = RefusingPool(run, lambda n, key: int(key[1:]) % 3 == 2, n_slots)
    assert run_shards(run, pool, shards(240)) == 240
    rows = read_manifest(run).to_pylist()
    assert sum(row["error_code"] == "access_denied" for row in rows) == 80 and len(rows) == 240


@pytest.mark.parametrize("each", [4, 300])
def test_folder_that_is_closed_is_rows_if_it_is_smaller_than_the_limit(run, each):
    closed = {f"k{i:04d}" for i in range(100, 100 + MAX_REFUSALS_IN_A_ROW - 4)}
    run_shards(run, RefusingPool(run, lambda n, key: key in closed, 1), shards(300, each))
    rows = read_manifest(run).to_pylist()
    assert {row["file_name"] for row in rows if row["error_code"]} == closed and len(rows) == 300


def test_few_refused_images_with_nothing_else_are_rows(run):
    """As after `--retry-failed`: a job of a few images that stay closed is finished."""
    run_shards(run, RefusingPool(run, lambda n, key: True), shards(MAX_REFUSALS_IN_A_ROW - 1))
    assert read_manifest(run).num_rows == MAX_REFUSALS_IN_A_ROW - 1


def test_images_that_fail_for_other_reasons_prove_nothing_about_access(run):
    """A damaged photo is read, and its result would have been refused like the others."""
    damaged = {f"k{i:04d}" for i in range(0, 300, 5)}
    with pytest.raises(AccessDeniedError):
        run_shards(run, RefusingPool(run, lambda n, key: True, damaged=damaged), shards(300))
    assert not list_committed_shards(run)


def test_images_that_fail_for_other_reasons_do_not_count_as_refusals(run):
    run_shards(run, RefusingPool(run, lambda n, key: False, damaged={f"k{i:04d}" for i in range(200)}), shards(200))
    assert read_manifest(run).num_rows == 200


def test_commit_holds_the_fields_that_it_always_held(run):
    run_shards(run, RefusingPool(run, lambda n, key: True), shards(4))
    ((_, (file,)),) = iter_commits(run)
    assert file.codes == {"access_denied": 4} and (file.refusals, file.last_refusal) == (0, "")
    assert b"refusal" not in read(run.commit(0))
