"""What a worker process refuses; no Ray starts in here."""

import os
from types import SimpleNamespace

import pytest
import ray
import torch

from pipeline.cluster import worker_actor
from pipeline.config.loading import parse_job
from pipeline.errors import PipelineError


@pytest.mark.parametrize(
    ("autoencoder", "gpus", "device", "refused"),
    [
        ("embedded", [0], "cpu", True),
        ("embedded", [0], "cuda", False),
        ("embedded", [], "cpu", False),
        ("mine:autoencoder", [0], "cpu", False),  # a factory decides itself
    ],
)
def test_check_gpu_visible_refuses_a_reserved_gpu_that_is_not_used(monkeypatch, autoencoder, gpus, device, refused):
    job = parse_job(
        {
            "input": {"images": "in"},
            "output": {"uri": "out"},
            "calibration": {"degradation": "noise:sigma=50"},
            "autoencoder": autoencoder,
        }
    )
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: gpus)
    loaded = SimpleNamespace(device=torch.device(device))
    if not refused:
        worker_actor._check_gpu_visible(job, loaded)
        return
    with pytest.raises(PipelineError, match=r"Ray reserves a GPU for this worker.*gpus_per_worker: 0"):
        worker_actor._check_gpu_visible(job, loaded)


@pytest.mark.parametrize(("gpus", "visible"), [([], ""), ([1], "1")])
def test_hide_unassigned_gpus_hides_those_of_other_workers(monkeypatch, gpus, visible):
    """Ray leaves the GPUs of others visible to a worker that has none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: gpus)
    worker_actor._hide_unassigned_gpus()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
