"""Published autoencoders at their real size with random weights: saved, loaded, and used to enhance a photo."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

import deepot
from deepot.inference.enhancer import Enhancer
from deepot.inference.tile_options import TileOptions
from deepot.photo.pixels import Pixels
from research.bench_published_autoencoders import CONFIGURATIONS
from tests.support.photos import make_photo, soften

EXPECTED = {  # parameters, latent channels, scaling, shift, halo
    "sd-vae-ft-mse": (83_653_863, 4, 0.18215, 0.0, None),
    "flux.1": (83_819_683, 16, 0.3611, 0.1159, None),
    "taesd": (2_445_063, 4, 1.0, 0.0, 19),
}
IMAGES = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class SavedModel:
    """An autoencoder loaded from a folder, and the output for IMAGES in [−1, 1] of the model that was saved there."""

    name: str
    autoencoder: deepot.LoadedAutoencoder
    raw: Tensor
    deviation: Tensor | None
    decoded: Tensor


@pytest.fixture(scope="module", params=EXPECTED)
def saved(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoencoder")
    model = CONFIGURATIONS[request.param].build()
    with torch.inference_mode():
        encoded = model.encode(IMAGES * 2 - 1)
        posterior = getattr(encoded, "latent_dist", None)
        raw = encoded.latents if posterior is None else posterior.mean
        decoded = model.decode(raw).sample
    model.save_pretrained(folder)
    del model  # only one of them is in memory at a time
    autoencoder = deepot.load_autoencoder(str(folder), device="cpu", dtype=torch.float32)
    return SavedModel(request.param, autoencoder, raw, None if posterior is None else posterior.std, decoded)


def fit(autoencoder):
    natural = make_photo(0, 97, 45)
    return deepot.fit_images(autoencoder, [soften(natural)], [natural], patch_size=1)


@pytest.fixture(scope="module")
def transport(saved):
    return fit(saved.autoencoder)


@pytest.fixture
def tiled(saved, transport, tmp_path):
    """The autoencoder and its map; a local network has a quarter of its channels, as its reach is that of its layers
    and the photo of exact tiles is large."""
    if saved.autoencoder.halo is None:
        return saved.autoencoder, transport
    published = CONFIGURATIONS[saved.name]
    widths = {f"{side}_block_out_channels": (16,) * 4 for side in ("encoder", "decoder")}
    replace(published, settings=published.settings | widths).build().save_pretrained(tmp_path)
    narrow = deepot.load_autoencoder(str(tmp_path), device="cpu", dtype=torch.float32)
    assert narrow.halo == saved.autoencoder.halo
    return narrow, fit(narrow)


def test_load_autoencoder_restores_a_saved_model(saved):
    parameters, channels, scaling, shift, halo = EXPECTED[saved.name]
    autoencoder = saved.autoencoder
    assert sum(parameter.numel() for parameter in autoencoder.network.parameters()) == parameters
    assert (autoencoder.factor, autoencoder.channels, autoencoder.halo) == (8, channels, halo)
    assert (autoencoder.network.scaling, autoencoder.network.shift) == (scaling, shift)


def test_loaded_autoencoder_encodes_to_the_scaled_mean_and_decodes_as_the_model(saved):
    _, _, scaling, shift, _ = EXPECTED[saved.name]
    latents = saved.autoencoder.encode(IMAGES)
    torch.testing.assert_close(latents, (saved.raw - shift) * scaling, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(saved.autoencoder.decode(latents), (saved.decoded + 1) / 2, rtol=1e-3, atol=1e-3)
    assert float(saved.raw.std()) > 0.1, "the comparison needs latents that differ"
    if saved.deviation is not None:
        assert float(saved.deviation.min()) > 0.1, "the comparison needs a posterior whose samples differ from its mean"


def test_loaded_autoencoder_encodes_twice_to_the_same_bits(saved):
    assert torch.equal(saved.autoencoder.encode(IMAGES), saved.autoencoder.encode(IMAGES))


def test_enhancer_with_alpha_one_returns_the_photo(saved, transport):
    image = make_photo(3, 45, 37)
    result = Enhancer(saved.autoencoder, transport, alpha=1)(image)
    np.testing.assert_array_equal(np.asarray(result), np.asarray(image))


def test_enhancer_processes_a_photo_in_one_piece_and_in_tiles(tiled):
    """Its sides are not multiples of 8. Only the tiles of local networks must give the result of the full photo: with
    random weights the means and variances of tiles differ much. test_tile_consistency compares their borders."""
    autoencoder, transport = tiled
    exact = autoencoder.halo is not None
    image = soften(make_photo(1, *((1970, 303) if exact else (109, 61))))
    results = []
    for tiles in (TileOptions(1024), TileOptions(size=80, overlap=24)):
        enhancer = Enhancer(autoencoder, transport, mode="plain" if exact else "residual", tiles=tiles)
        pixels = Pixels.from_image(image)
        stats = enhancer.enhance(pixels)
        assert (stats.n_tiles > 1) == (tiles.size < 1024), tiles.plan(autoencoder, pixels)
        assert 0 < stats.transport_mse < np.inf
        assert np.isfinite([stats.patch_nll, stats.patch_nll_output]).all()
        result = pixels.to_image()
        assert (result.size, result.mode) == (image.size, "RGB")
        results.append(np.asarray(result).astype(int) - np.asarray(image))
    full, tiled = results
    assert min(np.abs(full).mean(), np.abs(tiled).mean()) > 1, "the comparison needs a photo that changes"
    if exact:
        assert np.abs(tiled - full).max() <= 1
