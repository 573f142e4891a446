"""Selections by scores that a job has left out."""

import json
from dataclasses import fields

import pytest

from deepot.photo.colour_difference import ColourDifference
from deepot.photo.quality_scores import QualityScores
from pipeline.curation.duplicates import find_duplicates
from pipeline.curation.score_columns import SCORE_COLUMNS
from pipeline.errors import ConfigError
from pipeline.runs.paths import RunPaths
from pipeline.storage.objects import write
from tests.support.selections import select_rows

CALLS = {
    "Noise": lambda run: select_rows(run, "status = 'ok' AND Noise < 3"),
    "sharpness": lambda run: select_rows(run, order="sharpness DESC"),
    "phash": lambda run: find_duplicates(run, 4),
}


@pytest.fixture
def make_run(tmp_path):
    """Writes a run without photos, whose job has the given keys of `output`."""

    def make(**output):
        run = RunPaths(str(tmp_path / "run"))
        write(run.run_json, json.dumps({"job": {"output": {"uri": "out"} | output}}).encode())
        return run

    return make


@pytest.mark.parametrize("column", CALLS)
def test_selection_by_a_score_of_a_run_without_scores_names_column_and_option(make_run, column):
    with pytest.raises(ConfigError, match=rf"has no {column}.*output\.scores: false: set it to true"):
        CALLS[column](make_run(scores=False))


@pytest.mark.parametrize("output", [{"scores": True}, {}])
def test_selection_by_a_score_of_a_run_with_scores_is_made(make_run, output):
    for call in CALLS.values():
        assert len(call(make_run(**output))) == 0


def test_selection_by_other_columns_needs_no_scores(make_run):
    where = "file_name <> 'noise' AND transport_mse > 0 AND noise_free IS NULL"
    with pytest.raises(ConfigError, match="there is no column noise_free"):
        select_rows(make_run(scores=False), where)
    assert len(select_rows(make_run(scores=False), where.partition(" AND noise_free")[0])) == 0


def test_score_columns_are_those_of_the_measurements():
    measured = [field.name for kind in (QualityScores, ColourDifference) for field in fields(kind)]
    assert sorted(SCORE_COLUMNS) == sorted(measured)
