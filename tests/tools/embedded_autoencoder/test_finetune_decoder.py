"""The decoder learns through the transport, the critic to tell its images from photos; a stopped training goes on."""

import importlib
import json

import pytest
import torch


@pytest.fixture(scope="module")
def through(tools):
    return importlib.import_module("through_transport")


def train(through, own, work, out, *more):
    start = ["--start", str(work[0] / "autoencoder")]
    through.main(["--lesson", str(own), *start, "--out", str(out), "--device", "cpu", "--batch", "2", *more])
    return json.loads((out / "through.json").read_text())


def test_the_decoder_learns_and_the_encoder_stays(through, own, work, tmp_path):
    before = train(through, own, work, tmp_path / "still", "--steps", "1", "--learning-rate", "0")
    after = train(through, own, work, tmp_path / "on", "--steps", "40", "--adversarial", "0.2")
    assert after["held_out"]["photo"] > before["held_out"]["photo"] + 0.3
    assert after["held_out"]["moved"] > before["held_out"]["moved"] + 0.3
    loaded = [through.load_network(folder / "autoencoder") for folder in (work[0], tmp_path / "on")]
    first, last = (dict(model.encoder.named_parameters()) for model in loaded)
    assert all(torch.equal(first[name], last[name]) for name in first)


def test_a_stopped_training_goes_on_to_the_same_weights(through, own, work, tmp_path, monkeypatch):
    train(through, own, work, tmp_path / "whole", "--steps", "4")
    advance = through.Through.advance

    def interrupted(trainer):
        if trainer.step == 2:
            trainer.save()
            raise KeyboardInterrupt
        return advance(trainer)

    monkeypatch.setattr(through.Through, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(through, own, work, tmp_path / "parts", "--steps", "4")
    monkeypatch.setattr(through.Through, "advance", advance)
    train(through, own, work, tmp_path / "parts", "--steps", "4", "--resume")
    states = [torch.load(tmp_path / name / "through.checkpoint.pt", weights_only=True) for name in ("whole", "parts")]
    for part in ("average", "critic"):
        assert all(torch.equal(states[0][part][name], states[1][part][name]) for name in states[0][part])


def test_the_critic_learns_to_tell_blurred_photos_and_pulls_them_towards_detail(tools, own, work):
    critic_module = importlib.import_module("critic")
    training = importlib.import_module("training")
    chunk = tools[0].Chunk.load(own / "chunk-000.pt")
    photos = chunk.crops[:4].float() / 127.5 - 1
    soft = torch.nn.functional.avg_pool2d(photos, 25, stride=1, padding=12, count_include_pad=False)
    torch.manual_seed(0)
    critic = critic_module.Critic(training.load_network(work[0] / "autoencoder").encoder, photos)
    optimizer = torch.optim.Adam(critic.heads.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        _, maps = critic.pull(soft)
        loss = critic.loss(maps, photos)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    pull, _ = critic.pull(soft)
    assert float(-(pull * (photos - soft)).sum()) > 0  # the way downhill leads towards the photos
