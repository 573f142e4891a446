"""The decoder is fine-tuned through the transport against a discriminator; the encoder stays as it is."""

import json

import pytest
import torch

from tests.support.autoencoder_tools import interrupt_at_step
from tools.embedded_autoencoder import finetune_decoder
from tools.embedded_autoencoder.dataset import Chunk
from tools.embedded_autoencoder.discriminator import Discriminator
from tools.embedded_autoencoder.network import load_network


def run_finetune(dataset, distilled, out, *more):
    paths = ["--dataset", str(dataset), "--start", str(distilled[0] / "autoencoder"), "--out", str(out)]
    finetune_decoder.main([*paths, "--device", "cpu", "--batch", "2", *more])
    return json.loads((out / "finetune.json").read_text())


def test_finetune_improves_the_decoder_and_keeps_the_encoder(student_dataset, distilled, tmp_path):
    before = run_finetune(student_dataset, distilled, tmp_path / "before", "--steps", "1", "--learning-rate", "0")
    more = ["--steps", "24", "--learning-rate", "4e-3", "--adversarial-weight", "0.2"]
    after = run_finetune(student_dataset, distilled, tmp_path / "after", *more)
    assert after["held_out"]["photo"] > before["held_out"]["photo"] + 0.3
    assert after["held_out"]["transported"] > before["held_out"]["transported"] + 0.3
    networks = [load_network(folder / "autoencoder") for folder in (distilled[0], tmp_path / "after")]
    first, last = (dict(network.encoder.named_parameters()) for network in networks)
    assert all(torch.equal(first[name], last[name]) for name in first)


def test_finetune_resumed_after_an_interruption_has_the_same_weights(student_dataset, distilled, tmp_path, monkeypatch):
    run_finetune(student_dataset, distilled, tmp_path / "straight", "--steps", "4")
    with monkeypatch.context() as patch:
        interrupt_at_step(patch, finetune_decoder.DecoderFinetuning, 2)
        with pytest.raises(KeyboardInterrupt):
            run_finetune(student_dataset, distilled, tmp_path / "resumed", "--steps", "4")
    run_finetune(student_dataset, distilled, tmp_path / "resumed", "--steps", "4", "--resume")
    straight, resumed = (
        torch.load(tmp_path / name / "finetune.checkpoint.pt", weights_only=True) for name in ("straight", "resumed")
    )
    for module in ("average", "discriminator"):
        assert all(torch.equal(straight[module][name], resumed[module][name]) for name in straight[module])


def test_discriminator_learns_to_tell_blurred_photos_and_its_gradient_leads_to_detail(student_dataset, distilled):
    photos = Chunk.load(student_dataset / "chunk-000.pt").crops[:2].float() / 127.5 - 1
    blurred = torch.nn.functional.avg_pool2d(photos, 25, stride=1, padding=12, count_include_pad=False)
    torch.manual_seed(0)
    discriminator = Discriminator(load_network(distilled[0] / "autoencoder").encoder, photos)
    optimizer = torch.optim.Adam(discriminator.heads.parameters(), 2e-2)
    losses = []
    for _ in range(15):
        _, maps = discriminator.generator_gradient(blurred)
        loss = discriminator.loss(maps, photos)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    gradient, _ = discriminator.generator_gradient(blurred)
    assert float(-(gradient * (photos - blurred)).sum()) > 0  # descent leads towards the photos
