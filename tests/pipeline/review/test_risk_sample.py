"""The sample of a review: half of it from the riskiest photos, the same each time, of current results only."""

from itertools import chain

import pytest

from pipeline.review import DecisionRecord, record_decisions, sample_by_risk
from pipeline.review.decision_file import Decision
from pipeline.runs import RunPaths, commit, new_row, write_manifest_file
from pipeline.runs.missing_inputs import PresenceTracker
from pipeline.storage import Entry, write

N_PHOTOS = 400
SCORES = ("transport_mse", "delta_e", "patch_nll_output")


def make_row(number, **values):
    entry = Entry(f"/in/{number:04d}.png", f"{number:04d}.png", 1, "", 0.0)
    row = new_row(entry, 0, 1) | {"status": "ok", "alpha": 0.5, "output_uri": f"/out/{number}.png"}
    sha256 = {"input_sha256": f"{number:064x}", "output_sha256": f"{number + 10**6:064x}"}
    return row | sha256 | dict.fromkeys(SCORES, 0.0) | values


@pytest.fixture
def make_run(tmp_path):
    def make(rows, *later_rows):
        run = RunPaths(str(tmp_path / "0123"))
        write(run.run_json, b"{}")
        for shard, shard_rows in enumerate((rows, later_rows)):
            named = [row | {"shard": shard} for row in shard_rows]
            commit(run, shard, [write_manifest_file(run, f"{shard}.parquet", named)])
        return run

    return make


def names(sample):
    return [[row["file_name"] for row in rows] for rows in sample.rows]


@pytest.mark.parametrize("score", SCORES)
def test_half_of_the_sample_has_the_highest_of_any_score(make_run, score):
    run = make_run([make_row(number, **{score: float(number * 37 % N_PHOTOS)}) for number in range(N_PHOTOS)])
    risk = {f"{number:04d}.png": number * 37 % N_PHOTOS for number in range(N_PHOTOS)}
    sample = sample_by_risk(run, 20, has_restorer=False)
    assert [(each.label, each.photos) for each in sample.strata] == [
        ("riskiest 5 %", 20), ("next 20 %", 80), ("other 75 %", 300),
    ]  # fmt: skip
    riskiest, high, others = ([risk[name] for name in stratum] for stratum in names(sample))
    assert (len(riskiest), len(high), len(others)) == (10, 5, 5)
    assert min(riskiest) >= 380 and 300 <= min(high) <= max(high) < 380 and max(others) < 300
    assert riskiest != sorted(riskiest, reverse=True), "the order is random, so that the first ones are a sample too"
    assert sample_by_risk(run, 20, has_restorer=False) == sample
    larger = names(sample_by_risk(run, 200, has_restorer=False))
    assert [len(stratum) for stratum in larger] == [20, 80, 100], "what the riskiest lack comes from the others"
    assert all(set(few) <= set(many) for few, many in zip(names(sample), larger, strict=True))


def test_which_photos_are_sampled_does_not_depend_on_names_among_equal_risks(make_run):
    """Every photo has the same risk: those with the first names make the riskiest part, a random half is sampled."""
    sample = sample_by_risk(make_run(map(make_row, range(N_PHOTOS))), 20, has_restorer=False)
    numbers = [int(name[:4]) for name in names(sample)[0]]
    assert max(numbers) < 20 and sorted(numbers) != [*range(10)]


def test_only_current_changed_results_are_sampled(make_run):
    rows = [make_row(0), make_row(1), make_row(2, alpha=1.0), make_row(3, status="failed"), make_row(4), make_row(5)]
    run = make_run(rows, make_row(1, status="rejected"), make_row(4, output_sha256=f"{9:064x}"))
    sample = sample_by_risk(run, 20, has_restorer=False)
    assert sorted(chain.from_iterable(names(sample))) == ["0000.png", "0004.png", "0005.png"]
    (changed,) = (row for rows in sample.rows for row in rows if row["file_name"] == "0004.png")
    assert changed["output_sha256"] == f"{9:064x}", "its latest row counts"
    assert (sample.rejected_before, sample.accepted_before) == (1, 0)
    restored = sample_by_risk(run, 20, has_restorer=True)
    assert sum(stratum.photos for stratum in restored.strata) == 4, "a restorer changes photos at α = 1, too"


def test_accepted_photos_and_missing_ones_are_not_sampled_again(make_run):
    run = make_run([*map(make_row, range(4))])
    tracker = PresenceTracker(run)
    for number in range(4):
        tracker.observe(Entry(f"/in/{number:04d}.png", f"{number:04d}.png", 1, "", 0.0), number != 2)
    tracker.save()
    record = DecisionRecord("/in/0001.png", f"{1:064x}", f"{10**6 + 1:064x}", 0, Decision.ACCEPTED)
    assert record_decisions(run, {record.input_uri: record})
    sample = sample_by_risk(run, 20, has_restorer=False)
    assert sorted(chain.from_iterable(names(sample))) == ["0000.png", "0003.png"]
    assert (sample.accepted_before, sum(stratum.photos for stratum in sample.strata)) == (1, 2)


def test_run_without_changed_photos_has_no_strata(make_run):
    sample = sample_by_risk(make_run([make_row(0, alpha=1.0)]), 20, has_restorer=False)
    assert (sample.strata, sample.rows) == ((), ())
