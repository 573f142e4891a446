"""The benchmark of a GPU runs on the CPU, in small, with every part of its result."""

import json
import sys

import pytest

from benchmarks import gpu


def run_benchmark(monkeypatch, path, *options):
    arguments = [
        "--device",
        "cpu",
        "--cores",
        "2",
        "--repeats",
        "1",
        "--kl-size",
        "small",
        "--json",
        str(path),
        *options,
    ]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *arguments])
    gpu.main()
    return json.loads(path.read_text())["results"]


def test_benchmark_writes_reading_agreement_and_rates_of_both_autoencoders(monkeypatch, tmp_path):
    results = run_benchmark(monkeypatch, tmp_path / "gpu.json", "--dtypes", "float32", "--sizes", "0.01", "0.02")
    assert [row["what"] for row in results] == ["reading", *["agreement", "rate", "rate"] * 2]
    for row in results:
        if row["what"] == "agreement":
            assert row["max_levels"] == 0, "float32 on the CPU is what it is compared with"
            assert row["rms_change_levels"] > 0
        else:
            assert row["megapixels_per_s"] > 0
    rates = [row for row in results if row["what"] == "rate"]
    assert [row["megapixels"] for row in rates] == pytest.approx([0.01, 0.02] * 2, rel=0.05)


def test_benchmark_out_of_time_lists_what_it_left_out(monkeypatch, tmp_path):
    options = "--dtypes", "float32", "--sizes", "0.01", "100", "--autoencoders", "embedded", "--limit-s", "0"
    results = run_benchmark(monkeypatch, tmp_path / "gpu.json", *options)
    assert [row["megapixels"] for row in results if row["what"] == "left out"] == [0.01, 100]
