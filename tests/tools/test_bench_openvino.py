"""The benchmark of OpenVINO is skipped where that is not installed, and computes what PyTorch does where it is."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks import bench_openvino
from benchmarks.openvino_autoencoder import autoencoder, load_embedded_network, resampling_matrix


def test_benchmark_without_openvino_prints_why_it_measures_nothing(monkeypatch, capsys):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find_spec(name))
    monkeypatch.setattr(sys, "argv", ["bench_openvino.py"])
    bench_openvino.main()
    assert capsys.readouterr().out.startswith("skipped: OpenVINO is not installed")


def test_job_of_a_backend_has_its_autoencoder_and_dtype(tmp_path):
    plain, dynamic = (
        bench_openvino.job_arguments(backend, tmp_path, tmp_path / "output")
        for backend in ("torch:bfloat16", "openvino:bf16:dynamic")
    )
    assert plain[-2:] == ["--compute.dtype", "bfloat16"]
    assert "benchmarks.openvino_autoencoder:autoencoder:precision=bf16,shapes=dynamic" in dynamic
    assert dynamic[-2:] == ["--compute.dtype", "float32"]


@pytest.mark.parametrize(("n_outputs", "n_inputs"), [(8, 4), (4, 12)])
def test_shortcut_of_a_convolution_repeats_or_averages_its_channels(n_outputs, n_inputs, generator):
    values = torch.rand(1, n_inputs, 3, 5, generator=generator)
    if n_outputs > n_inputs:
        expected = values.repeat_interleave(n_outputs // n_inputs, 1)
    else:
        expected = torch.unflatten(values, 1, (n_outputs, -1)).mean(2)
    kernel = torch.from_numpy(np.ascontiguousarray(resampling_matrix(n_outputs, n_inputs)))[:, :, None, None]
    assert torch.allclose(F.conv2d(values, kernel), expected, atol=1e-6)


@pytest.mark.parametrize("shapes", ["static", "dynamic"])
def test_openvino_computes_what_pytorch_does(shapes, generator):
    pytest.importorskip("openvino", reason="OpenVINO is not installed (pip install openvino)")
    expected, found = load_embedded_network(), autoencoder("f32", shapes)
    with torch.inference_mode():
        for height, width in ((64, 40), (24, 104)):
            images = torch.rand(1, 3, height, width, generator=generator)
            latents = expected.encode(images)
            assert float((found.encode(images) - latents).abs().max()) < 1e-4
            assert float((found.decode(latents) - expected.decode(latents)).abs().max()) < 0.001 / 255
