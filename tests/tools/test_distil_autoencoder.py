"""A lesson is made once, both parts learn from it, and the student makes a lesson in its own latents."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepot.autoencoders import load_codec

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="module")
def tools():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        lesson, distil = (importlib.import_module(name) for name in ("lesson", "distil_autoencoder"))
        patch.setattr(lesson, "HELD_OUT", 28)
        patch.setattr(lesson, "CHUNK", 28)
        patch.setattr(lesson, "PATCH", 1)
        patch.setattr(distil, "HELD_OUT_CROPS", 4)
        patch.setattr(distil, "WIDTHS", (16, 16, 16, 16))
        patch.setattr(distil, "LAYERS", {"encoder": (0, 1, 1, 1), "decoder": (0, 1, 1, 1)})
        yield lesson, distil


@pytest.fixture(scope="module")
def made(tools, tmp_path_factory):
    """A lesson of a teacher that loses nothing, with latents of factor 8."""
    folder = tmp_path_factory.mktemp("lesson")
    (folder / "photos").mkdir()
    random = np.random.default_rng(0)
    for index in range(3):
        small = Image.fromarray(random.integers(0, 256, (12, 10, 3), dtype=np.uint8))
        small.resize((160, 192), Image.Resampling.BICUBIC).save(folder / "photos" / f"{index}.png")
    lesson(tools, folder)
    return folder


def lesson(tools, folder):
    where = ["--photos", str(folder / "photos"), "--out", str(folder / "lesson")]
    how = ["--teacher", "tests.codecs:blocks", "--chunks", "2", "--threads", "1", "--allow-code"]
    tools[0].main([*where, *how])


def train(tools, part, folder, out, *more):
    tools[1].main([part, "--lesson", str(folder), "--out", str(out), "--channels", "8", "--device", "cpu", *more])
    return json.loads((out / f"{part}.json").read_text())


def test_a_lesson_holds_what_the_teacher_makes_of_the_crops(tools, made):
    chunk = tools[0].Chunk.load(made / "lesson" / "chunk-001.pt")
    codec = load_codec("tests.codecs:blocks", allow_code=True, dtype=torch.float32)
    latents = codec.encode(chunk.crops.float() / 255)
    slope = (latents[0, 0] - latents[1, 0]).flatten() / (chunk.latents[0, 0] - chunk.latents[1, 0]).float().flatten()
    torch.testing.assert_close(slope, slope.median().expand_as(slope), rtol=0.05, atol=0.01)
    torch.testing.assert_close(chunk.images.float(), codec.decode(latents).clamp(0, 1) * 255, rtol=0, atol=0.51)
    still = chunk.share == 0
    assert still.any() and not still.all()
    torch.testing.assert_close(chunk.moved_latents[still], chunk.restored_latents[still])
    held_out = tools[0].Chunk.load(made / "lesson" / "held-out.pt").latents.float()
    torch.testing.assert_close(held_out.mean((0, 2, 3)), torch.zeros(8), rtol=0, atol=1e-2)
    torch.testing.assert_close(held_out.std((0, 2, 3)), torch.ones(8), rtol=0, atol=1e-2)


def test_a_stopped_lesson_goes_on(tools, made):
    path = made / "lesson" / "chunk-001.pt"
    before, kept = tools[0].Chunk.load(path), (made / "lesson" / "chunk-000.pt").stat().st_mtime_ns
    path.unlink()
    lesson(tools, made)
    after = tools[0].Chunk.load(path)
    assert (made / "lesson" / "chunk-000.pt").stat().st_mtime_ns == kept
    assert torch.equal(before.crops, after.crops)
    torch.testing.assert_close(before.moved_latents, after.moved_latents, rtol=0, atol=0.02)


def test_both_parts_learn_join_and_go_on_in_their_own_latents(tools, made, tmp_path):
    work = tmp_path / "work"
    untrained = train(tools, "encoder", made / "lesson", work, "--steps", "1", "--learning-rate", "0")["held_out"]
    trained = train(tools, "encoder", made / "lesson", work, "--steps", "40")
    assert trained["steps"] == 40
    assert trained["held_out"]["natural"] < 0.8 * untrained["natural"]
    untrained = train(tools, "decoder", made / "lesson", work, "--steps", "1", "--learning-rate", "0")["held_out"]
    learned = train(tools, "decoder", made / "lesson", work, "--steps", "40")["held_out"]
    assert all(learned[name] > untrained[name] + 1 for name in learned)
    tools[1].main(["join", "--out", str(work)])
    codec = load_codec(str(work / "autoencoder"), dtype=torch.float32)
    assert (codec.factor, codec.channels) == (8, 8) and codec.halo is not None
    tools[0].main(
        ["--again", str(made / "lesson"), "--student", str(work / "autoencoder"), "--out", str(tmp_path / "2")]
    )
    own = tools[0].Chunk.load(tmp_path / "2" / "chunk-000.pt")
    torch.testing.assert_close(own.latents.float(), codec.encode(own.crops.float() / 255), rtol=0, atol=2e-2)
    more = train(tools, "decoder", tmp_path / "2", tmp_path / "work2", "--steps", "1", "--start", str(work))
    assert more["held_out"]["photo"] > untrained["photo"]


def test_an_interrupted_training_goes_on_to_the_same_weights(tools, made, tmp_path, monkeypatch):
    train(tools, "encoder", made / "lesson", tmp_path / "whole", "--steps", "4")
    advance = tools[1].Trainer.advance

    def interrupted(trainer):
        if trainer.step == 2:
            trainer.save()
            raise KeyboardInterrupt
        return advance(trainer)

    monkeypatch.setattr(tools[1].Trainer, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tools, "encoder", made / "lesson", tmp_path / "parts", "--steps", "4")
    monkeypatch.setattr(tools[1].Trainer, "advance", advance)
    train(tools, "encoder", made / "lesson", tmp_path / "parts", "--steps", "4", "--resume")
    whole, parts = (
        torch.load(tmp_path / name / "encoder.checkpoint.pt", weights_only=True)["average"]
        for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_what_is_missing_is_named(tools, tmp_path):
    with pytest.raises(SystemExit, match=r"no chunk-\*\.pt"):
        train(tools, "encoder", tmp_path, tmp_path / "out", "--steps", "1")
