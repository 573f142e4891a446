"""The count of operations that the documentation quotes, and the rates beside it."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import count_flops, gpu

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"


def test_operations_of_the_embedded_autoencoder_are_those_of_the_documentation():
    counted = count_flops.count_operations("embedded")
    assert counted["photo"] == pytest.approx(counted["encode"] + 2 * counted["decode"])
    row = ", ".join(f"{value:.2f}" for value in counted.values())
    assert f"all three | {row} |" in PAGE.read_text()


def test_benchmark_writes_operations_and_the_cores_that_keep_up(monkeypatch, tmp_path):
    path = tmp_path / "flops.json"
    options = ["--kl-size", "small", "--megapixels", "0.1", "--repeats", "1", "--tflops", "100", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", ["count_flops.py", *options])
    count_flops.main()
    found = json.loads(path.read_text())["results"]
    assert [row["autoencoder"] for row in found["autoencoders"]] == ["embedded", "kl"]
    for row in found["autoencoders"]:
        assert row["megapixels_per_s"] * row["tflop_photo"] == pytest.approx(100)
        assert row["cores_that_read"] * found["jpeg"]["read"] == pytest.approx(row["megapixels_per_s"])
        assert row["cores_that_write"] > row["cores_that_read"], "what is written is decoded once more"


def test_gpu_benchmark_without_a_gpu_measures_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as exit_info:
        gpu.main()
    assert not exit_info.value.code
    assert "there is no CUDA device, nothing was measured" in capsys.readouterr().err
