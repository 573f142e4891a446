"""All stages of a job in this process, without Ray."""

import numpy as np
import pytest
import torch
from PIL import Image

import deepot
from deepot.transport.transport_map import TransportMap
from pipeline.calibration import calibration_of_run
from pipeline.errors import RunError
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.runs.summary import summarize_run
from pipeline.sources.discovery import list_images
from pipeline.stages import RunOptions, apply_job, fit_job, open_run, plan_job, run_job
from pipeline.storage.objects import read
from tests.support.committed_files import iter_commits

OPTIONS = RunOptions(allow_code=True)


def test_run_job_with_a_mixture_writes_what_the_enhancer_gives(make_job, tmp_path, in_process):
    result = run_job(make_job(transport={"mixture_components": 3}), OPTIONS)
    assert (result.ok, result.complete) == (6, True)
    transport = TransportMap.from_bytes(read(calibration_of_run(RunPaths(result.run)).map()))
    assert transport.info.kind == "mixture:components=3"
    assert '<th scope="row">kind of map</th><td>mixture:components=3</td>' in read(RunPaths(result.run).report).decode()
    autoencoder = deepot.load_autoencoder(
        "tests.support.fake_autoencoders:shuffle", dtype=torch.float32, device="cpu", allow_code=True
    )
    for row in read_manifest(RunPaths(result.run)).to_pylist():
        expected = deepot.Enhancer(autoencoder, transport)(Image.open(row["input_uri"]))
        np.testing.assert_array_equal(np.asarray(Image.open(row["output_uri"])), np.asarray(expected))


def test_run_job_with_other_settings_does_not_overwrite_results(make_job, tmp_path, in_process):
    run_job(make_job(), OPTIONS)
    with pytest.raises(RunError, match=r"--overwrite"):
        run_job(make_job(transport={"alpha": 0.25}), OPTIONS)
    assert run_job(make_job(transport={"alpha": 0.25}), RunOptions(allow_code=True, overwrite=True)).ok == 6
    by_map = make_job(output={"uri": str(tmp_path / "by" / "{map}")})
    transport = fit_job(context := open_run(by_map, OPTIONS)).transport
    plan_job(context)
    apply_job(context)
    assert len(list(list_images(str(tmp_path / "by" / transport.sha256[:16])))) == 6


def test_run_job_with_a_named_map_gives_the_results_of_its_run(make_job, tmp_path, in_process):
    first = run_job(make_job(), OPTIONS)
    job = make_job(
        map=calibration_of_run(RunPaths(first.run)).map(), calibration=None, output={"uri": str(tmp_path / "second")}
    )
    second = run_job(job, OPTIONS)
    assert second.ok == 6
    assert {read(entry.uri) for entry in list_images(str(tmp_path / "second"))} == {
        read(entry.uri) for entry in list_images(str(tmp_path / "enhanced")) if not entry.key.startswith("_")
    }
    assert summarize_run(RunPaths(second.run)).ok == 6
    assert len(list(iter_commits(RunPaths(second.run)))) == 3
