"""The run of a job file, found without loading a model."""

import json
from pathlib import Path

import pytest

from pipeline.errors import RunError
from pipeline.runs import find_run_of_job
from pipeline.stages import open_run
from tests.support.in_process_pool import OPTIONS, run_in_process


def test_find_run_of_job_is_the_run_with_its_settings(make_job, tmp_path):
    job, other = make_job(), make_job(transport={"alpha": 0.25}, run=str(tmp_path / "runs"))
    with pytest.raises(RunError, match=r"has no run in .*_deepot yet: start it with 'deepot run'"):
        find_run_of_job(job)
    result = run_in_process(job)
    assert find_run_of_job(job).uri == result.run
    renamed = make_job(name="another name", compute={"workers": 3, "dtype": "float32"})
    assert find_run_of_job(renamed).uri == result.run, "neither decides a result"
    with pytest.raises(RunError):
        find_run_of_job(make_job(transport={"alpha": 0.75}))
    with pytest.raises(RunError):
        find_run_of_job(other)


def test_find_run_of_job_takes_the_latest_of_several_models_and_skips_what_is_no_run(make_job, tmp_path):
    job = make_job()
    run = Path(run_in_process(job).run)
    later, broken, old = (run.with_name(name) for name in ("later", "broken", "of another version"))
    content = json.loads((run / "run.json").read_text())
    for folder, changes in ((later, {"started": "9999"}), (old, {"started": "99999", "job": {"inputs": "?"}})):
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(content | changes))
    broken.mkdir()
    (broken / "run.json").write_text("{")
    assert find_run_of_job(job).uri == str(later)
    assert open_run(job, OPTIONS).run.uri == str(run)
