"""Calls of the tools that make a lesson and train on it."""

import importlib
import json


def denoiser(folder, *more, out="denoiser.safetensors"):
    where = ["--photos", str(folder / "photos"), "--out", str(folder / out)]
    importlib.import_module("train_denoiser").main([*where, "--crop", "32", "--device", "cpu", *more])


def lesson(tools, folder):
    where = ["--photos", str(folder / "photos"), "--out", str(folder / "lesson")]
    where += ["--denoiser", str(folder / "denoiser.safetensors")]
    how = ["--teacher", "tests.support.fake_autoencoders:blocks", "--chunks", "2", "--threads", "1", "--allow-code"]
    tools[0].main([*where, *how])


def train(tools, part, folder, out, *more):
    tools[1].main([part, "--lesson", str(folder), "--out", str(out), "--channels", "8", "--device", "cpu", *more])
    return json.loads((out / f"{part}.json").read_text())
