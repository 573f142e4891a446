"""A lesson is made once, both parts learn from it, alone and together, and lose channels on request."""

import importlib

import pytest
import torch

from deepot.autoencoder.loading import load_autoencoder
from tests.tools.lessons import lesson, train


def test_a_lesson_holds_what_the_teacher_makes_of_the_crops(tools, made):
    chunk = tools[0].Chunk.load(made / "lesson" / "chunk-001.pt")
    codec = load_autoencoder("tests.support.fake_autoencoders:blocks", allow_code=True, dtype=torch.float32)
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


def test_each_part_learns_and_they_join(work):
    folder, found = work
    before, after = found["encoder"]
    assert all(after[name] < 0.8 * before[name] for name in ("natural", "restored"))
    before, after = found["decoder"]
    assert all(after[name] > before[name] + 1 for name in ("photo", "teacher", "moved"))
    codec = load_autoencoder(str(folder / "autoencoder"), dtype=torch.float32)
    assert (codec.factor, codec.channels) == (8, 8)
    assert codec.halo is not None


def test_both_go_on_together(tools, made, work, tmp_path):
    start = ["--start", str(work[0] / "autoencoder"), "--noise", "0.1"]
    before = train(tools, "both", made / "lesson", tmp_path / "still", *start, "--steps", "1", "--learning-rate", "0")
    after = train(tools, "both", made / "lesson", tmp_path / "both", *start, "--steps", "40")
    assert after["held_out"]["natural"] < before["held_out"]["natural"]
    assert after["held_out"]["photo"] > before["held_out"]["photo"] + 0.5
    codec = load_autoencoder(str(tmp_path / "both" / "autoencoder"), dtype=torch.float32)
    assert codec.channels == 8


def test_a_lesson_in_the_students_own_latents(tools, made, work, own):
    mine = tools[0].Chunk.load(own / "chunk-000.pt")
    first = tools[0].Chunk.load(made / "lesson" / "chunk-000.pt")
    student = load_autoencoder(str(work[0] / "autoencoder"), dtype=torch.float32)
    torch.testing.assert_close(mine.latents.float(), student.encode(mine.crops / 255), rtol=0, atol=2e-2)
    assert torch.equal(mine.restored, first.restored)
    assert (mine.share == 1).all()
    assert (mine.moved_latents - mine.restored_latents).abs().mean() > 0.01
    still = first.share == 0
    assert (mine.moved_images[still].float() - first.moved_images[still].float()).abs().mean() > 1


def test_fewer_channels_decode_the_projected_latents(tools, made, work, tmp_path):
    fewer = importlib.import_module("fewer_channels")
    start = work[0] / "autoencoder"
    where = ["--start", str(start), "--lesson", str(made / "lesson")]
    for channels, tolerance in ((8, 5e-3), (4, None)):
        fewer.main([*where, "--channels", str(channels), "--out", str(tmp_path / str(channels))])
        small = load_autoencoder(str(tmp_path / str(channels)), dtype=torch.float32)
        large = load_autoencoder(str(start), dtype=torch.float32)
        crops = tools[0].Chunk.load(made / "lesson" / "held-out.pt").crops[:4] / 255
        assert small.encode(crops).shape[1] == channels
        inner = slice(48, -48)  # the border is padded with zeros, which are not the mean of the larger one's latents
        images = [codec.decode(codec.encode(crops))[..., inner, inner] for codec in (small, large)]
        off = (images[0] - images[1]).abs().max()
        assert off < tolerance if tolerance else off > 5e-3


def test_an_interrupted_training_goes_on_to_the_same_weights(tools, made, tmp_path, monkeypatch):
    train(tools, "encoder", made / "lesson", tmp_path / "whole", "--steps", "4")
    advance = tools[1].Distillation.advance

    def interrupted(trainer):
        if trainer.step == 2:
            trainer.save()
            raise KeyboardInterrupt
        return advance(trainer)

    monkeypatch.setattr(tools[1].Distillation, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tools, "encoder", made / "lesson", tmp_path / "parts", "--steps", "4")
    monkeypatch.setattr(tools[1].Distillation, "advance", advance)
    train(tools, "encoder", made / "lesson", tmp_path / "parts", "--steps", "4", "--resume")
    whole, parts = (
        torch.load(tmp_path / name / "encoder.checkpoint.pt", weights_only=True)["average"]
        for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_what_is_missing_is_named(tools, tmp_path):
    with pytest.raises(SystemExit, match=r"no chunk-\*\.pt"):
        train(tools, "encoder", tmp_path, tmp_path / "out", "--steps", "1")


def test_the_form_in_which_it_is_shipped(work, tmp_path, monkeypatch):
    start = work[0] / "autoencoder"
    importlib.import_module("compact_autoencoder").main(["--start", str(start), "--out", str(tmp_path)])
    monkeypatch.setattr("deepot.autoencoder.loading.files", lambda _: tmp_path)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    shipped, whole = (load_autoencoder(name, dtype=torch.float32) for name in ("embedded", str(start)))
    assert (shipped.encode(image) - whole.encode(image)).abs().max() < 0.1
    size = (start / "diffusion_pytorch_model.safetensors").stat().st_size
    assert sum(path.stat().st_size for path in tmp_path.glob("*.safetensors")) < 0.8 * size
