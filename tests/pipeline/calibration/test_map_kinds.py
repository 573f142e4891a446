"""A third kind of map goes through statistics, fit, run and estimate without a change to any module."""

from dataclasses import replace

import pytest
import torch

from deepot.transport import MAP_KINDS, Moments
from pipeline.calibration import Side, compute_moments, load_map, make_moments_tasks, read_map_statistics
from pipeline.calibration.shard_moments import compute_shard_moments
from pipeline.config.sections import Transport
from pipeline.estimation.pilot import PilotTask, run_pilot
from pipeline.progress import NullProgress
from pipeline.runs.committed_rows import read_manifest
from pipeline.stages import RunOptions, open_run, run_job
from pipeline.storage.objects import read
from tests.support.toy_map_kind import ToyMap, ToyStatistics


@pytest.fixture
def toy_job(make_job, monkeypatch):
    """A job whose configuration chooses a kind of map that only the registry knows."""
    monkeypatch.setitem(MAP_KINDS, "toy", ToyMap)
    monkeypatch.setattr(Transport, "map_kind", property(lambda _: "toy:boost=2"))
    return make_job()


def test_statistics_of_a_third_kind_are_stored_beside_the_moments_and_resumed(toy_job):
    context = open_run(toy_job, RunOptions(allow_code=True))
    tasks = make_moments_tasks(context.job, context.calibration, True, context.excluded_folders)
    compute_shard_moments(tasks[0])
    done = []

    def execute(function, tasks):
        for task in reversed(tasks):
            done.append((function, task.shard.number))
            yield function(task)

    compute_moments(tasks, execute, NullProgress())
    computed = sorted(number for function, number in done if function is compute_shard_moments)
    assert computed == [task.shard.number for task in tasks[1:]]
    for side, merged in zip((Side.SOURCE, Side.REFERENCE), read_map_statistics(tasks), strict=True):
        shards = []
        for task in tasks:
            number = task.shard.number
            shards.append(ToyStatistics.from_bytes(read(context.calibration.map_statistics(side, number))))
            assert read(context.calibration.moments(side, number)) == shards[-1].plain.to_bytes(
                {"autoencoder_sha256": context.models.autoencoder.sha256}
            )
        assert merged.largest == max(each.largest for each in shards)
        assert merged.plain.images == sum(each.plain.images for each in shards) == 6


def test_a_gaussian_map_needs_no_statistics_beside_the_moments(make_job):
    context = open_run(make_job(), RunOptions(allow_code=True))
    tasks = make_moments_tasks(context.job, context.calibration, True, context.excluded_folders)
    compute_shard_moments(tasks[0])
    assert read_map_statistics(tasks) is None
    assert Moments.from_bytes(read(context.calibration.moments(Side.SOURCE, 0))).images > 0
    with pytest.raises(FileNotFoundError):
        read(context.calibration.map_statistics(Side.SOURCE, 0))


def test_run_with_a_third_kind_transports_every_photo(toy_job, in_process):
    run_job(toy_job, RunOptions(allow_code=True))
    context = open_run(toy_job, RunOptions(allow_code=True))
    transport = load_map(context.job, context.calibration)
    assert transport.info.kind == "toy:boost=2"
    assert set(transport.parameters) == {"gain", "shift"}
    assert torch.isfinite(transport.parameters["gain"])
    rows = read_manifest(context.run).to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * 6
    assert {row["map_sha256"] for row in rows} == {transport.sha256}
    assert all(row["transport_mse"] > 0 for row in rows)


def test_pilot_with_a_third_kind_fits_its_map(toy_job):
    context = open_run(toy_job, RunOptions(allow_code=True))
    tasks = make_moments_tasks(context.job, context.calibration, True, context.excluded_folders)
    photos = tasks[0].shard.entries[:1]
    single = (replace(tasks[0], shard=replace(tasks[0].shard, entries=photos)),)
    pilot = PilotTask(context.job, True, context.run, context.calibration, "0" * 64, photos, single)
    result = run_pilot(pilot)
    assert [(photo.status, photo.error) for photo in result.photos] == [("ok", None)]
    assert result.fit_s > 0
    assert result.moments_bytes > 0
