"""Published autoencoders at their real size, with random weights: saved, loaded, and a photo through them."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

import deepot
from research.bench_published_autoencoders import CONFIGURATIONS
from deepot.inference.enhancer import Enhancer
from deepot.inference.tile_options import TileOptions
from deepot.photo.pixels import Pixels
from tests.support.photos import make_photo, soften

EXPECTED = {  # parameters, latent channels, scaling, shift, halo
    "sd-vae-ft-mse": (83_653_863, 4, 0.18215, 0.0, None),
    "flux.1": (83_819_683, 16, 0.3611, 0.1159, None),
    "taesd": (2_445_063, 4, 1.0, 0.0, 19),
}
IMAGES = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Real:
    """A codec loaded from a folder, and what the model that was saved there does with IMAGES in [−1, 1]."""

    name: str
    codec: deepot.LoadedAutoencoder
    raw: Tensor
    deviation: Tensor | None
    decoded: Tensor


@pytest.fixture(scope="module", params=EXPECTED)
def real(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae")
    model = CONFIGURATIONS[request.param].build()
    with torch.inference_mode():
        encoded = model.encode(IMAGES * 2 - 1)
        posterior = getattr(encoded, "latent_dist", None)
        raw = encoded.latents if posterior is None else posterior.mean
        decoded = model.decode(raw).sample
    model.save_pretrained(folder)
    del model  # one of them in memory at a time
    codec = deepot.load_autoencoder(str(folder), device="cpu", dtype=torch.float32)
    return Real(request.param, codec, raw, None if posterior is None else posterior.std, decoded)


@pytest.fixture(scope="module")
def transport(real):
    natural = make_photo(0, 97, 45)
    return deepot.fit_images(real.codec, [soften(natural)], [natural], patch_size=1)


def test_the_folder_gives_back_the_whole_model(real):
    parameters, channels, scaling, shift, halo = EXPECTED[real.name]
    codec = real.codec
    assert sum(parameter.numel() for parameter in codec.network.parameters()) == parameters
    assert (codec.factor, codec.channels, codec.halo) == (8, channels, halo)
    assert (codec.network.scaling, codec.network.shift) == (scaling, shift)


def test_latents_are_the_scaled_mean_and_decode_as_the_model_does(real):
    _, _, scaling, shift, _ = EXPECTED[real.name]
    latents = real.codec.encode(IMAGES)
    torch.testing.assert_close(latents, (real.raw - shift) * scaling, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(real.codec.decode(latents), (real.decoded + 1) / 2, rtol=1e-3, atol=1e-3)
    assert float(real.raw.std()) > 0.1, "latents that hardly differ would show nothing"
    if real.deviation is not None:
        assert float(real.deviation.min()) > 0.1, "a posterior this narrow would not tell its mean from a sample"


def test_encoding_twice_gives_the_same_bits(real):
    assert torch.equal(real.codec.encode(IMAGES), real.codec.encode(IMAGES))


def test_alpha_one_gives_the_photo_back(real, transport):
    image = make_photo(3, 45, 37)
    result = Enhancer(real.codec, transport, alpha=1)(image)
    np.testing.assert_array_equal(np.asarray(result), np.asarray(image))


def test_a_photo_goes_through_whole_and_in_tiles(real, transport):
    """Sides are no multiple of 8. Local networks' tiles give the whole; others' give another image with random weights,
    as means and variances differ: that they agree with one another is in test_seams."""
    exact = real.codec.halo is not None
    image = soften(make_photo(1, *((1400, 300) if exact else (129, 61))))
    results = []
    for tiles in (TileOptions(1024), TileOptions(size=80, overlap=24)):
        enhancer = Enhancer(real.codec, transport, mode="plain" if exact else "residual", tiles=tiles)
        pixels = Pixels.from_image(image)
        outcome = enhancer.enhance(pixels)
        assert (outcome.n_tiles > 1) == (tiles.size < 1024), tiles.plan(real.codec, pixels)
        assert 0 < outcome.transport_mse < np.inf
        assert np.isfinite([outcome.patch_nll, outcome.patch_nll_output]).all()
        result = pixels.to_image()
        assert (result.size, result.mode) == (image.size, "RGB")
        results.append(np.asarray(result).astype(int) - np.asarray(image))
    whole, tiled = results
    assert min(np.abs(whole).mean(), np.abs(tiled).mean()) > 1, "a photo that hardly changes would show nothing"
    if exact:
        assert np.abs(tiled - whole).max() <= 1
