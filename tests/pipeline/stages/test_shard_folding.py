"""Runs fold their shards by themselves; what goes wrong with that does not stop them."""

import logging

import pytest

from pipeline.errors import StorageError
from pipeline.runs import RunPaths, compaction, iter_committed_rows, list_segments, read_manifest
from pipeline.stages import shard_folding
from pipeline.stages.shard_folding import shard_folder
from pipeline.storage import delete
from tests.support.in_process_pool import run_in_process


def test_run_folds_its_shards_as_it_goes_on_and_at_its_end(make_job, monkeypatch):
    monkeypatch.setattr(shard_folding, "SHARDS_PER_FOLD", 2)
    monkeypatch.setattr(shard_folding, "_MIN_SHARDS_AT_END", 1)
    run = RunPaths(run_in_process(make_job()).run)
    assert len(list_segments(run)) == 2, "of two shards, and of all three with the small one"
    folded = sorted(shard for rows in iter_committed_rows(run, preferred=()) for shard in rows.shards.tolist())
    assert folded == [0, 1, 2]
    expected = read_manifest(run)
    for rows in iter_committed_rows(run):
        for _, commit, _ in rows.split(run):
            for file in commit.files:
                delete(run.manifest(file.name))
    assert read_manifest(run).equals(expected) and len(expected) == 6


def test_small_run_is_not_folded(make_job):
    assert list_segments(RunPaths(run_in_process(make_job()).run)) == []


@pytest.mark.parametrize("setting", ["SHARDS_PER_FOLD", "_MIN_SHARDS_AT_END"])
def test_error_of_a_fold_is_a_warning(make_job, monkeypatch, caplog, setting):
    def fail(*_):
        raise StorageError("storage is full")

    monkeypatch.setattr(shard_folding, setting, 1)
    monkeypatch.setattr(compaction.SegmentWriter, "publish", fail)
    with caplog.at_level(logging.WARNING):
        assert run_in_process(make_job()).complete
    assert "storage is full" in caplog.text


def test_interrupted_run_does_not_wait_for_its_folds(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(shard_folding, "SHARDS_PER_FOLD", 1)
    monkeypatch.setattr(shard_folding, "fold_shards", lambda run, shards, is_stopped: seen.append(is_stopped))
    with pytest.raises(KeyboardInterrupt), shard_folder(RunPaths(str(tmp_path))) as folder:
        folder.add(3)
        raise KeyboardInterrupt
    assert [is_stopped() for is_stopped in seen] == [True]
