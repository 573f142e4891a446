"""Compaction on every kind of storage: segments, what they prove, and what happens to files that have changed."""

import io
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.cli import main
from pipeline.curation import find_duplicates
from pipeline.errors import RunError
from pipeline.maintenance import verify_run
from pipeline.progress import NullProgress
from pipeline.runs import compaction, segment_file
from pipeline.runs.commits import commit, list_commits, list_committed_shards
from pipeline.runs.committed_rows import (
    find_shards_of_map,
    iter_committed_rows,
    iter_manifest_tables,
    list_failures,
    read_manifest,
)
from pipeline.runs.compaction import compact_run, fold_shards
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA
from pipeline.runs.paths import RunPaths
from pipeline.runs.planning import extend_plan
from pipeline.runs.requeue import Problem, find_retriable_failures, requeue_shards
from pipeline.runs.rows import new_row
from pipeline.runs.segment_file import list_segments
from pipeline.runs.shard_set import ShardSet
from pipeline.runs.summary import summarize_run
from pipeline.storage import Entry, delete, iter_etags, list_names, objects, read, sha256_hex, write
from tests.support.json_commands import run_json_command
from tests.support.selections import select_rows
from tests.support.small_segments import use_small_segments

N_SHARDS = 6


class Crash(BaseException):
    """The process is killed."""


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch):
    use_small_segments(monkeypatch)
    monkeypatch.setattr(compaction, "ROWS_PER_SEGMENT", 6)
    monkeypatch.setattr(compaction, "_SMALL_SEGMENT_ROWS", 3)


def make_rows(run, shard, attempt=1):
    """Two rows with results, and a failure that may succeed another time in every third shard."""
    rows = []
    for number in range(2 + (shard % 3 == 0)):
        name, failed = f"{shard}-{number}.png", number == 2
        row = new_row(Entry(f"{run.uri}/in/{name}", name, 1, "", 0.0), shard, attempt)
        if failed:
            rows.append(row | {"error_code": "read_failed", "error_message": "x", "retriable": True})
            continue
        uri, data = f"{run.uri}/out/{name}", f"{name} {attempt}".encode()
        write(uri, data)
        row |= {"status": "ok", "output_uri": uri, "output_sha256": sha256_hex(data), "map_sha256": f"map {shard % 2}"}
        rows.append(row | {"phash": f"{shard % 4:016x}", "width": 10, "height": 10})
    return rows


def commit_shard(run, shard, attempt=1):
    assert commit(
        run, shard, [write_manifest_file(run, f"{shard:05d}-{attempt}-x.parquet", make_rows(run, shard, attempt))]
    )


@pytest.fixture
def run(storage_folder):
    """A run with a plan, and a commit for each of its shards."""
    run = RunPaths(f"{storage_folder}/run")
    write(run.run_json, b"{}")
    names = [f"{shard}-{number}.png" for shard in range(N_SHARDS) for number in range(2 + (shard % 3 == 0))]
    extend_plan(run, [Entry(f"{run.uri}/in/{name}", name, 1, "", 0.0) for name in names])
    for shard in range(N_SHARDS):
        commit_shard(run, shard)
    return run


def describe(run):
    """What readers find in a run."""
    summary = summarize_run(run)
    return (
        read_manifest(run),
        select_rows(run),
        find_duplicates(run, 0),
        (summary.ok, summary.failed, summary.codes),
        list_failures(run, 3),
        sorted(finding.uri for finding in find_retriable_failures(run)),
        find_shards_of_map(run, "map 1"),
        verify_run(run, NullProgress()),
    )


def delete_manifest_files(run):
    for name in list_names(run.manifest()):
        delete(run.manifest(name))


def test_readers_find_the_same_in_manifest_files_and_in_segments(run, capsys):
    before = describe(run)
    status, printed = run_json_command(capsys, "compact", run.uri)
    assert (status, printed["shards"], printed["rows"], printed["left_out"]) == (0, N_SHARDS, len(before[0]), 0)
    assert printed["segments"] == len(list_segments(run)) > 1
    assert describe(run) == before
    delete_manifest_files(run)
    assert describe(run) == before
    assert run_json_command(capsys, "compact", run.uri)[1]["segments"] == 0
    tables = list(iter_manifest_tables(run, ["status", "file_name"]))
    assert {tuple(table.schema.names) for table in tables} == {("status", "file_name")}
    assert sum(map(len, tables)) == len(before[0])
    assert max(map(len, tables)) <= 5, "row groups have few rows"


def test_compaction_killed_after_any_write_goes_on_where_it_was(run, monkeypatch):
    expected, real = read_manifest(run), objects.resolve_store
    n_left = 0

    class KillingStore:
        def __init__(self, store):
            self._store = store

        def __getattr__(self, name):
            return getattr(self._store, name)

        def write(self, *arguments):
            self._count(lambda: self._store.write(*arguments))

        def create(self, *arguments):
            self._count(lambda: self._store.create(*arguments))

        def _count(self, act):
            nonlocal n_left
            n_left -= 1
            if n_left < 0:
                raise Crash
            act()

    def resolve(uri):
        store, path = real(uri)
        return KillingStore(store), path

    kills = 0
    while True:
        n_left = kills % 3
        monkeypatch.setattr(objects, "resolve_store", resolve)
        try:
            compact_run(run)
            break
        except Crash:
            kills += 1
        finally:
            monkeypatch.setattr(objects, "resolve_store", real)
        assert read_manifest(run).equals(expected)
    assert kills >= 3
    delete_manifest_files(run)
    assert read_manifest(run).equals(expected)


def test_rows_in_a_segment_do_not_count_once_their_shard_is_requeued(run):
    compact_run(run)
    delete(run.commit(2))
    assert 2 not in read_manifest(run)["shard"].to_pylist()
    commit_shard(run, 2, attempt=2)
    rows = read_manifest(run).to_pylist()
    assert [row["attempt"] for row in rows if row["shard"] == 2] == [2, 2]
    assert {row["attempt"] for row in rows if row["shard"] != 2} == {1}
    assert set(Counter(row["file_name"] for row in rows).values()) == {1}
    compact_run(run)
    delete_manifest_files(run)
    assert read_manifest(run).to_pylist() == rows
    assert verify_run(run, NullProgress()).n_corrupt == 0


@pytest.mark.parametrize("part", ["index", "parquet"])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_verify_repairs_a_run_whose_segment_has_changed(run, part, damage):
    expected = read_manifest(run)
    compact_run(run)
    name = list_segments(run)[0]
    folded = {shard for rows in iter_committed_rows(run) if rows.segment == name for shard in rows.shards.tolist()}
    if damage == "changed":
        data = read(run.segment(f"{name}.{part}"))
        write(run.segment(f"{name}.{part}"), data[:-40] + bytes(40))
        with pytest.raises(RunError, match=r"--requeue"):
            read_manifest(run)
    else:
        delete(run.segment(f"{name}.{part}"))
        assert read_manifest(run).equals(expected), "the manifest files are there"
    report = verify_run(run, NullProgress())
    assert report.n_checked == sum(row["status"] == "ok" for row in expected.to_pylist())
    assert report.n_corrupt == (damage == "changed")
    requeue_shards(run, [finding for finding in report.findings if finding.problem is Problem.SEGMENT_BROKEN])
    assert list_committed_shards(run) == set(range(N_SHARDS)), "no shard is processed again"
    assert read_manifest(run).equals(expected)
    compact_run(run)
    delete_manifest_files(run)
    name = next(name for name in list_segments(run) if set(segment_file.read_segment(run, name).shards) & folded)
    lost = set(segment_file.read_segment(run, name).shards.tolist())
    write(run.segment(f"{name}.{part}"), b"something else")
    report = verify_run(run, NullProgress())
    assert report.n_corrupt == len(lost) + 1, "each is reported once"
    assert {finding.shard for finding in report.findings if finding.problem.is_corrupt} == lost | {-1}
    requeue_shards(run, [finding for finding in report.findings if finding.problem.is_corrupt])
    assert list_committed_shards(run) == set(range(N_SHARDS)) - lost
    assert set(read_manifest(run)["shard"].to_pylist()) == set(range(N_SHARDS)) - lost


def test_files_with_unknown_columns_or_other_rows_are_left_out(run, capsys):
    rows = pa.Table.from_pylist(make_rows(run, 9), schema=MANIFEST_SCHEMA)
    for shard, table in ((9, rows.append_column("invented_later", pa.nulls(len(rows)))), (10, rows.slice(1))):
        file = write_manifest_file(run, f"{shard:05d}-1-x.parquet", make_rows(run, 9))
        with io.BytesIO() as sink:
            pq.write_table(table, sink)
            data = sink.getvalue()
        write(run.manifest(file.name), data)
        assert commit(run, shard, [file.__class__(**vars(file) | {"sha256": sha256_hex(data)})])
    before = read_manifest(run)
    assert main(["compact", run.uri]) == 1
    assert "left out 2 shards" in capsys.readouterr().out
    assert {rows.segment is None for rows in iter_committed_rows(run) if set(rows.shards) & {9, 10}} == {True}
    assert read_manifest(run).equals(before)


def test_small_segments_are_merged_and_large_ones_stay(run):
    expected = read_manifest(run)
    for shard in range(N_SHARDS):
        fold_shards(run, ShardSet([shard]))
    names = list_segments(run)
    compact_run(run)
    in_use = {rows.segment for rows in iter_committed_rows(run)}
    assert len(in_use) < len(names)
    large = {name for name in names if segment_file.read_segment(run, name).n_rows.sum() >= 3}
    assert large <= in_use, "they are not written again"
    assert compact_run(run).segments == 0
    assert read_manifest(run).equals(expected)


def test_automatic_compaction_waits_for_many_shards(run):
    assert compact_run(run, min_shards=N_SHARDS + 1).segments == 0
    fold_shards(run, ShardSet([0, 1]))
    assert compact_run(run, min_shards=N_SHARDS - 1).segments == 0
    assert compact_run(run, min_shards=N_SHARDS - 2).shards >= N_SHARDS - 2
    assert {rows.segment is None for rows in iter_committed_rows(run)} == {False}


def test_fold_that_is_stopped_leaves_a_complete_segment(run):
    answers = iter([False, False, True])
    assert fold_shards(run, list_committed_shards(run), lambda: next(answers)).shards == 2
    assert len(read_manifest(run)) == 14


def test_listing_proves_commits_by_their_etags_where_they_are_hashes_of_contents(run):
    listing = list_commits(run)
    etags = dict(iter_etags(run.commit()))
    commits = [read(run.commit(shard)) for shard in listing.shards]
    proven = listing.proves(listing.shards.numbers, commits)
    assert proven.all() if run.uri.startswith("s3://") else not proven.any()
    assert any(etags.values()) == run.uri.startswith("s3://")
    assert not listing.proves(listing.shards.numbers, commits[::-1]).any()
    assert not listing.only(ShardSet([1])).proves(np.array([2]), [commits[2]]).any()


def test_status_of_a_compacted_run_reads_no_commit_that_the_listing_proves(run, monkeypatch):
    before, n_read = summarize_run(run), []
    compact_run(run)
    monkeypatch.setattr("pipeline.runs.commits.read", lambda uri: n_read.append(uri) or read(uri))
    assert summarize_run(run) == before
    assert len(n_read) == (0 if run.uri.startswith("s3://") else N_SHARDS)


NUMBERS = st.sets(st.integers(0, 2**40) | st.integers(0, 20))


@given(NUMBERS, NUMBERS)
def test_shard_sets_are_sets(first, second):
    one, two = ShardSet(first), ShardSet(sorted(second))
    assert list(one) == sorted(first) and len(one) == len(first)
    assert (one - two, one & two, one | two) == (first - second, first & second, first | second)
    assert (one <= two, one == two, one == first, one != first) == (first <= second, first == second, True, False)
    assert first - two == first - second
    assert [number in one for number in second] == [number in first for number in second]
    positions, found = one.positions(two.numbers)
    assert found.tolist() == [number in first for number in sorted(second)]
    assert one.numbers[positions[found]].tolist() == sorted(first & second)
