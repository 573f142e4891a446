import pytest
import torch
from diffusers.models.normalization import RMSNorm
from torch import nn

from deepot import load_autoencoder
from deepot.autoencoder import banded_norm


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(1, 37, 21, 8), (2, 40, 16, 8), (1, 300, 8), (3, 8)])
def test_run_in_bands_gives_the_same_bits(shape, dtype, generator, monkeypatch):
    monkeypatch.setattr(banded_norm, "MAX_BAND_VALUES", 1000)
    layer = RMSNorm(8, 1e-5, bias=True).to(dtype)
    nn.init.normal_(layer.weight, generator=generator)
    nn.init.normal_(layer.bias, generator=generator)
    values = torch.randn(*shape, generator=generator).to(dtype)
    expected = layer(values)
    sizes, inner = [], layer.forward
    layer.forward = lambda band: (sizes.append(band.numel()), inner(band))[1]
    banded_norm.run_in_bands([layer])
    with torch.inference_mode():
        banded = layer(values)
    assert torch.equal(banded, expected)
    assert banded.dtype == expected.dtype
    if len(shape) > 2:
        assert len(sizes) > 1
        assert max(sizes) <= max(1000, values[:, :1].numel())


def test_run_in_bands_keeps_channels_last_memory(generator, monkeypatch):
    monkeypatch.setattr(banded_norm, "MAX_BAND_VALUES", 1000)
    layer = RMSNorm(8, 1e-5)
    banded_norm.run_in_bands([layer])
    image = torch.randn(1, 8, 37, 21, generator=generator).to(memory_format=torch.channels_last)
    normed = layer(image.movedim(1, -1)).movedim(-1, 1)
    assert normed.is_contiguous(memory_format=torch.channels_last)


def test_embedded_autoencoder_gives_the_same_bits_with_and_without_bands(generator, monkeypatch):
    autoencoder = load_autoencoder(device="cpu")
    image = torch.rand(1, 3, 64, 96, generator=generator)
    monkeypatch.setattr(banded_norm, "MAX_BAND_VALUES", 10_000)
    latents = autoencoder.encode(image)
    decoded = autoencoder.decode(latents)
    monkeypatch.setattr(banded_norm, "MAX_BAND_VALUES", 10**9)
    assert torch.equal(autoencoder.encode(image), latents)
    assert torch.equal(autoencoder.decode(latents), decoded)
