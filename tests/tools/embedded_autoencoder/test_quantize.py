"""Quantised weights are smaller and give about the same latents."""

import torch

from deepot.autoencoder.loading import load_autoencoder
from tools.embedded_autoencoder import quantize


def test_quantize_writes_smaller_weights_with_about_the_same_latents(distilled, tmp_path, monkeypatch):
    start = distilled[0] / "autoencoder"
    quantize.main(["--start", str(start), "--out", str(tmp_path)])
    monkeypatch.setattr("deepot.autoencoder.loading.files", lambda _: tmp_path)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    shipped, original = (load_autoencoder(name, dtype=torch.float32) for name in ("embedded", str(start)))
    assert (shipped.encode(image) - original.encode(image)).abs().max() < 0.1
    size = (start / "diffusion_pytorch_model.safetensors").stat().st_size
    assert sum(path.stat().st_size for path in tmp_path.glob("*.safetensors")) < 0.8 * size
