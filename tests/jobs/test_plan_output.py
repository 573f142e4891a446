"""What `plan` reports about photos whose names show that they cannot be written."""

import json

import pytest
import yaml

from jobs.cli import main
from tests.support.photos import small_job_config


@pytest.mark.parametrize("output_format", ["same", "png"])
def test_plan_counts_photos_whose_names_rule_out_a_result(tmp_path, capsys, output_format):
    config = small_job_config(tmp_path, 2, 2)
    config["output"] = {"uri": str(tmp_path / "out"), "format": output_format}
    for number in range(5):
        (tmp_path / "restored" / f"a\x1b{number}.GIF").write_bytes(b"x")
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(config))
    assert main(["plan", str(tmp_path / "job.yaml"), "--allow-code", "--json"]) == 0
    output = capsys.readouterr().out
    record = json.loads(output.splitlines()[-1])
    assert record["images"] == 7
    if output_format == "same":
        assert "refused  5 by their names: GIF is read and not written (a\\x1b0.GIF, a\\x1b1.GIF, a" in output
        assert ", …); set output.format, to png for instance" in output
        assert record["unwritable"] == 5 and record["unwritable_names"] == [f"a\x1b{number}.GIF" for number in range(3)]
    else:
        assert "refused" not in output and record["unwritable"] == 0 and record["unwritable_names"] == []
