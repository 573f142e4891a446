"""What `deepot fit` prints of the map, and of the α that a goal gives."""

import json

import pytest
import yaml

from jobs.cli import main
from tests.support.photos import small_job_config


def fit(tmp_path, capsys, *flags, **changes):
    """The lines that the command prints, and its line of JSON."""
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(small_job_config(tmp_path, **changes)))
    assert main(["fit", str(tmp_path / "job.yaml"), "--allow-code", "--json", *flags]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    return lines, json.loads(last)


def test_fit_with_a_goal_prints_gains_error_and_alpha(tmp_path, capsys, in_process):
    lines, record = fit(tmp_path, capsys, "--transport.alpha", "min-error")
    curve = record["change"]["curves"]["auto"]
    assert record["alpha"] == pytest.approx(1 - curve["gain"] / curve["energy"], abs=1e-6)
    assert f"alpha    {record['alpha']:g} (min-error)" in lines
    assert any(line.startswith("gains    luma ") for line in lines)
    assert any(line.startswith("error    PSNR ") and line.endswith("(on 4 calibration pairs)") for line in lines)


def test_fit_of_a_self_calibration_prints_gains_but_no_error(tmp_path, capsys, in_process):
    lines, record = fit(tmp_path, capsys, calibration={"degradation": "blur:sigma=1"})
    assert (record["alpha"], record["change"]["curves"]) == (0.5, None)
    assert [line.split()[0] for line in lines if line.startswith(("alpha", "gains", "error"))] == ["gains"]
