"""What a worker process refuses; no Ray session in here."""

import os
from types import SimpleNamespace

import pytest
import ray
import torch

from pipeline.cluster import worker_actor as actor
from pipeline.config.loading import parse_job
from pipeline.errors import PipelineError


@pytest.mark.parametrize(
    ("vae", "gpus", "device", "refused"),
    [
        ("embedded", [0], "cpu", True),
        ("embedded", [0], "cuda", False),
        ("embedded", [], "cpu", False),
        ("mine:codec", [0], "cpu", False),  # a factory decides itself
    ],
)
def test_a_gpu_is_not_held_by_a_worker_that_computes_on_the_cpu(monkeypatch, vae, gpus, device, refused):
    job = parse_job(
        {
            "input": {"images": "in"},
            "output": {"uri": "out"},
            "calibration": {"degradation": "noise:sigma=50"},
            "autoencoder": vae,
        }
    )
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: gpus)
    codec = SimpleNamespace(device=torch.device(device))
    if not refused:
        actor._check_gpu_visible(job, codec)
        return
    with pytest.raises(PipelineError, match=r"Ray has a GPU for this worker.*gpus_per_worker: 0"):
        actor._check_gpu_visible(job, codec)


@pytest.mark.parametrize(("gpus", "visible"), [([], ""), ([1], "1")])
def test_a_worker_sees_no_gpu_that_is_not_its_own(monkeypatch, gpus, visible):
    """Ray says which are a worker's own, and does not hide those of others from one that has none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: gpus)
    actor._hide_unassigned_gpus()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
