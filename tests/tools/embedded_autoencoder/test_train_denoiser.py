"""The denoiser of a lesson takes noise away, at any size; a stopped training goes on to the same weights."""

import importlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.tools.lessons import denoiser


@pytest.fixture(scope="module")
def module(tools):
    return importlib.import_module("train_denoiser")


def test_it_takes_noise_away(module, made):
    mend = module.Mend(made / "denoiser.safetensors", 50)
    with Image.open(next((made / "photos").iterdir())) as file:
        photo = torch.from_numpy(np.array(file)[:101, :75]).permute(2, 0, 1)[None] / 255
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0)) * 50 / 255
    noisy = (photo + noise).clamp(0, 1)
    with torch.no_grad():
        clean = mend(noisy)
    assert clean.shape == photo.shape
    assert float((clean - photo).square().mean() / (noisy - photo).square().mean()) < 0.7


def test_the_record_tells_photos_and_loss(made):
    record = json.loads((made / "denoiser.json").read_text())
    assert record["photos"]["number"] == 3
    assert record["steps"] == 150
    assert record["final_loss"] > 0


def test_a_stopped_training_goes_on_to_the_same_weights(module, made, monkeypatch):
    denoiser(made, "--steps", "4", out="whole.safetensors")
    advance = module.Denoising.advance

    def interrupted(trainer):
        if trainer.step == 2:
            trainer.save()
            raise KeyboardInterrupt
        return advance(trainer)

    monkeypatch.setattr(module.Denoising, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        denoiser(made, "--steps", "4", out="parts.safetensors")
    monkeypatch.setattr(module.Denoising, "advance", advance)
    denoiser(made, "--steps", "4", "--resume", out="parts.safetensors")
    whole, parts = (load_file(made / f"{name}.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
