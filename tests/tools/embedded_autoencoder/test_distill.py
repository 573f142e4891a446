"""Encoder and decoder are distilled alone and together."""

import pytest
import torch

from deepot.autoencoder.loading import load_autoencoder
from tests.support.autoencoder_tools import interrupt_at_step, run_distill
from tools.embedded_autoencoder.distill import Distillation


def test_distill_alone_improves_each_module_and_join_makes_an_autoencoder(distilled):
    folder, evaluations = distilled
    before, after = evaluations["encoder"]
    assert all(after[name] < 0.8 * before[name] for name in ("photo_latents", "restored_latents"))
    before, after = evaluations["decoder"]
    assert all(after[name] > before[name] + 1 for name in ("photo", "teacher", "transported"))
    autoencoder = load_autoencoder(str(folder / "autoencoder"), dtype=torch.float32)
    assert (autoencoder.factor, autoencoder.channels) == (8, 8)
    assert autoencoder.halo is not None


def test_distill_both_improves_latents_and_images(made, distilled, tmp_path):
    start = ["--start", str(distilled[0] / "autoencoder"), "--noise", "0.1"]
    untrained = ["--steps", "1", "--learning-rate", "0"]
    before = run_distill("both", made / "dataset", tmp_path / "before", *start, *untrained)
    after = run_distill("both", made / "dataset", tmp_path / "both", *start, "--steps", "40")
    assert after["held_out"]["photo_latents"] < before["held_out"]["photo_latents"]
    assert after["held_out"]["photo"] > before["held_out"]["photo"] + 0.5
    autoencoder = load_autoencoder(str(tmp_path / "both" / "autoencoder"), dtype=torch.float32)
    assert autoencoder.channels == 8


def test_distill_resumed_after_an_interruption_has_the_same_weights(made, tmp_path, monkeypatch):
    run_distill("encoder", made / "dataset", tmp_path / "straight", "--steps", "4")
    with monkeypatch.context() as patch:
        interrupt_at_step(patch, Distillation, 2)
        with pytest.raises(KeyboardInterrupt):
            run_distill("encoder", made / "dataset", tmp_path / "resumed", "--steps", "4")
    run_distill("encoder", made / "dataset", tmp_path / "resumed", "--steps", "4", "--resume")
    straight, resumed = (
        torch.load(tmp_path / name / "encoder.checkpoint.pt", weights_only=True)["average"]
        for name in ("straight", "resumed")
    )
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_distill_without_a_dataset_names_the_missing_files(tmp_path):
    with pytest.raises(SystemExit, match=r"no chunk-\*\.pt"):
        run_distill("encoder", tmp_path, tmp_path / "out", "--steps", "1")
