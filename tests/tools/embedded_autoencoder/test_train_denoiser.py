"""The denoiser removes noise at any size of photo."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.support.autoencoder_tools import interrupt_at_step, run_denoiser
from tools.embedded_autoencoder.train_denoiser import DenoiserModel, DenoiserTraining


def test_denoiser_removes_noise_at_odd_sizes(made):
    model = DenoiserModel(made / "denoiser.safetensors", 50)
    with Image.open(next((made / "photos").iterdir())) as file:
        photo = torch.from_numpy(np.array(file)[:101, :75]).permute(2, 0, 1)[None] / 255
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0)) * 50 / 255
    noisy = (photo + noise).clamp(0, 1)
    with torch.no_grad():
        denoised = model(noisy)
    assert denoised.shape == photo.shape
    assert float((denoised - photo).square().mean() / (noisy - photo).square().mean()) < 0.7


def test_denoiser_report_has_photos_steps_and_loss(made):
    report = json.loads((made / "denoiser.json").read_text())
    assert report["photos"]["number"] == 3
    assert report["steps"] == 150
    assert report["final_loss"] > 0


def test_denoiser_resumed_after_an_interruption_has_the_same_weights(made, monkeypatch):
    run_denoiser(made, "--steps", "4", out="straight.safetensors")
    with monkeypatch.context() as patch:
        interrupt_at_step(patch, DenoiserTraining, 2)
        with pytest.raises(KeyboardInterrupt):
            run_denoiser(made, "--steps", "4", out="resumed.safetensors")
    run_denoiser(made, "--steps", "4", "--resume", out="resumed.safetensors")
    straight, resumed = (load_file(made / f"{name}.safetensors") for name in ("straight", "resumed"))
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_denoiser_resumed_without_a_checkpoint_says_so(made):
    with pytest.raises(SystemExit, match="nothing to resume"):
        run_denoiser(made, "--steps", "1", "--resume", out="new.safetensors")


def test_denoiser_with_an_odd_crop_is_refused(made, capsys):
    with pytest.raises(SystemExit):
        run_denoiser(made, "--crop", "33", out="odd.safetensors")
    assert "give an even number" in capsys.readouterr().err
