"""What a worker process refuses; no Ray starts in here."""

import os
import platform
from types import SimpleNamespace

import pytest
import ray
import torch

from pipeline.cluster import worker_actor
from pipeline.config.loading import parse_job
from pipeline.errors import AccessDeniedError, PipelineError
from pipeline.runs import mark_failed
from pipeline.storage import read, set_access_advice


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


@pytest.fixture
def refused_message(monkeypatch):
    """Returns the message of a row whose photo S3 refuses to a worker on `node-7`."""
    monkeypatch.setattr(platform, "node", lambda: "node-7")

    def make():
        row = {}
        with pytest.raises(AccessDeniedError) as caught:
            read("s3://archive/restored/1912/scan-000123.tif")
        mark_failed(row, caught.value)
        return row["error_message"]

    def refuse(_uri):
        raise PermissionError("Forbidden")

    monkeypatch.setattr("pipeline.storage.objects.resolve_store", refuse)
    yield make
    set_access_advice("")


def test_refused_worker_on_another_node_names_it_and_says_how_to_hand_credentials_over(refused_message):
    worker_actor._explain_refusals("laptop-1")
    message = refused_message()
    assert message.startswith("s3://archive/restored/1912/scan-000123.tif: access denied on node-7: s3:// reads its")
    assert "AWS_ACCESS_KEY_ID" in message
    assert (
        "if only laptop-1 has them, pass them in env_vars of Ray's runtime_env, or give the node an instance" in message
    )


def test_refused_worker_on_the_machine_of_the_driver_names_it_alone(refused_message):
    worker_actor._explain_refusals("node-7")
    message = refused_message()
    assert "access denied on node-7" in message and "runtime_env" not in message
