"""Small photos, and calls of the tools that make a dataset and train on it."""

import json

import numpy as np
from PIL import Image

from tools.embedded_autoencoder import distill, make_dataset, train_denoiser

TEACHER = "tests.support.fake_autoencoders:blocks"


def write_soft_photos(folder):
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(3):
        small = Image.fromarray(random.integers(0, 256, (12, 10, 3), dtype=np.uint8))
        small.resize((160, 192), Image.Resampling.BICUBIC).save(folder / f"{index}.png")


def run_denoiser(folder, *more, out="denoiser.safetensors"):
    paths = ["--photos", str(folder / "photos"), "--out", str(folder / out)]
    train_denoiser.main([*paths, "--crop", "32", "--device", "cpu", *more])


def run_make_dataset(folder):
    paths = ["--photos", str(folder / "photos"), "--out", str(folder / "dataset")]
    paths += ["--denoiser", str(folder / "denoiser.safetensors")]
    make_dataset.main([*paths, "--teacher", TEACHER, "--chunks", "2", "--threads", "1", "--allow-code"])


def run_make_student_dataset(dataset, student, out):
    paths = ["--from-dataset", str(dataset), "--student", str(student), "--out", str(out)]
    make_dataset.main([*paths, "--teacher", TEACHER, "--threads", "1", "--allow-code"])


def run_distill(module, dataset, out, *more):
    """Train a module, or both, and return the report."""
    distill.main([module, "--dataset", str(dataset), "--out", str(out), "--channels", "8", "--device", "cpu", *more])
    return json.loads((out / f"{module}.json").read_text())


def interrupt_at_step(monkeypatch, training_class, step):
    """Let a training save its state and stop as by Ctrl-C when it reaches a step."""
    advance = training_class.advance

    def interrupted(training):
        if training.step == step:
            training.save()
            raise KeyboardInterrupt
        return advance(training)

    monkeypatch.setattr(training_class, "advance", interrupted)
