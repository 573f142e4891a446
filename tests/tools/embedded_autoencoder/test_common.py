"""The training script makes a folder that diffusers loads, and goes on where it was interrupted."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderDC
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "train_autoencoder.py"
TINY = ["--widths", "16", "16", "16", "16", "--crop", "32", "--batch", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_autoencoder", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        patch.setitem(sys.modules, spec.name, module)  # dataclasses look themselves up
        spec.loader.exec_module(module)
        yield module


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index, shape in enumerate([(50, 40, 3), (33, 70, 3), (20, 90, 3)]):  # the last is too small for a crop
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


def run(script, photos, out, *more):
    script.train(script.parse(["--photos", str(photos), "--out", str(out), *TINY, *more]))
    return json.loads((out / "training.json").read_text())


def weights(folder):
    return AutoencoderDC.from_pretrained(folder, low_cpu_mem_usage=False).state_dict()


def test_writes_a_diffusers_folder_and_its_record(script, photos, tmp_path):
    record = run(script, photos, tmp_path / "vae", "--steps", "2")
    assert record["steps"] == 2
    assert record["photos"]["number"] == 2
    assert 0 < record["final_loss"] < 10
    model = AutoencoderDC.from_pretrained(tmp_path / "vae", low_cpu_mem_usage=False)
    assert model.encode(torch.zeros(1, 3, 32, 48)).latent.shape == (1, 16, 4, 6)


def test_an_interrupted_run_goes_on_to_the_same_weights(script, photos, tmp_path, monkeypatch):
    run(script, photos, tmp_path / "whole", "--steps", "4")
    advance = script.Plain.advance

    def interrupted(trainer):
        if trainer.step == 2:
            trainer.save()
            raise KeyboardInterrupt
        return advance(trainer)

    monkeypatch.setattr(script.Plain, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(script, photos, tmp_path / "parts", "--steps", "4")
    monkeypatch.setattr(script.Plain, "advance", advance)
    assert run(script, photos, tmp_path / "parts", "--steps", "4", "--resume")["steps"] == 4
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_starts_from_a_folder_without_naming_it_in_the_result(script, photos, tmp_path):
    run(script, photos, tmp_path / "first", "--steps", "1")
    run(script, photos, tmp_path / "second", "--steps", "1", "--learning-rate", "0", "--start", str(tmp_path / "first"))
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert str(tmp_path) not in (tmp_path / "second" / "config.json").read_text()


def test_resume_needs_a_checkpoint(script, photos, tmp_path):
    with pytest.raises(SystemExit, match="nothing to resume"):
        run(script, photos, tmp_path / "vae", "--steps", "1", "--resume")
