"""Photos of every mode and size through the enhancer, at once and in tiles."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import deepot
from deepot.autoencoder import as_autoencoder
from deepot.errors import AutoencoderError, MapError, UnsupportedImageError
from deepot.inference.bands import split_bands
from deepot.inference.calibration import paired_moments
from deepot.inference.cell_filters import remove_repetition
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import Preserve, TransportMode
from deepot.inference.photo_samples import take_samples
from deepot.inference.tile_options import TileOptions
from deepot.inference.tiled_autoencoder import encode_tiled
from deepot.photo.pixels import Pixels
from deepot.transport.gaussian import Affine
from deepot.transport.transport_map import TransportMap
from tests.support import fake_autoencoders, naive_transport

MODES = ("L", "LA", "RGB", "RGBA", "CMYK", "I;16")


def photo(width=160, height=120, mode="RGB", seed=0):
    """A photo with edges, ramps and texture."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = np.stack([x * 255 / width, y * 255 / height, 128 + 100 * np.sin(x / 9) * np.cos(y / 7)], -1)
    image = Image.fromarray((base + generator.normal(0, 12, base.shape)).clip(0, 255).astype(np.uint8))
    if mode == "I;16":
        return Image.fromarray((np.asarray(image.convert("L")).astype(np.uint16) * 257 + seed) & 0xFFFF)
    if mode == "RGBA":
        image.putalpha(Image.fromarray((x % 256).astype(np.uint8)))
        return image
    return image.convert(mode)


def fit(autoencoder, patch_size=3):
    natural = [photo(seed=seed) for seed in range(3)]
    smooth = [image.resize((80, 60)).resize((160, 120)) for image in natural]
    return deepot.fit_images(autoencoder, smooth, natural, patch_size=patch_size)


def with_reconstruction(transport):
    """The map with gains of the reconstruction error as well, other ones in every band."""
    gains = transport.change.gains
    shares = torch.linspace(0.3, 0.9, 2 * len(gains.luma)).tolist()
    added = {
        "reconstruction_luma": tuple(shares[: len(gains.luma)]),
        "reconstruction_chroma": tuple(shares[len(gains.luma) :]),
    }
    return replace(transport, change=replace(transport.change, gains=replace(gains, **added)))


def with_target(transport, target_mean):
    """The map with another target mean."""
    return replace(transport, parameters={**transport.parameters, "target_mean": target_mean})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("output", list(TransportMode))
def test_enhancer_with_alpha_one_returns_the_image_bit_for_bit(autoencoder, transport, mode, output):
    image = photo(61, 47, mode)
    result = Enhancer(autoencoder, transport, alpha=1, mode=output)(image)
    assert result.mode == image.mode
    np.testing.assert_array_equal(np.asarray(result), np.asarray(image))


@pytest.mark.parametrize("mode", MODES)
def test_enhancer_changes_values_and_keeps_mode_and_size(autoencoder, transport, mode):
    image = photo(64, 48, mode)
    result = Enhancer(autoencoder, transport)(image)
    assert (result.mode, result.size) == (image.mode, image.size)
    assert (np.asarray(result) != np.asarray(image)).mean() > 0.3
    if mode == "RGBA":
        np.testing.assert_array_equal(np.asarray(result)[..., 3], np.asarray(image)[..., 3])
    if mode == "CMYK":
        np.testing.assert_array_equal(np.asarray(result)[..., 3], np.asarray(image)[..., 3])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (7, 5), (65, 63), (64, 48)])
@pytest.mark.parametrize("patch_size", [1, 3, 5])
def test_enhancer_accepts_any_size_and_patch_size(autoencoder, size, patch_size):
    image = photo(*size)
    assert Enhancer(autoencoder, fit(autoencoder, patch_size))(image).size == size


@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000)])
def test_enhancer_of_a_line_of_pixels_gives_the_same_in_tiles(autoencoder, transport, size):
    image = photo(*size)
    at_once, tiled = (Enhancer(autoencoder, transport, tiles=TileOptions(tile))(image) for tile in (1424, 64))
    assert at_once.size == tiled.size == size
    assert np.abs(np.asarray(at_once).astype(int) - np.asarray(tiled)).max() <= 1


@pytest.mark.parametrize("alpha", [0.0, 0.25, -0.5, 1.5])
def test_plain_mode_equals_the_float64_reference(embedded_autoencoder, embedded_map, alpha):
    """decode(fold(T(unfold(encode(x))))) in float64 up to the decoder, to 1e-4 in pixel value."""
    image = photo(152, 117)
    pixels = Pixels.from_image(image)
    plan = TileOptions().plan(embedded_autoencoder, pixels)
    latents = encode_tiled(embedded_autoencoder, pixels, plan)
    affine = Affine(**embedded_map.parameters)
    transported = naive_transport.transport_latents(latents, affine.matrix, affine.bias(), 3)
    view = pixels.to_rgb()
    expected = (1 - alpha) * embedded_autoencoder.decode(transported.float())[..., :117, :152] + alpha * view

    enhancer = Enhancer(embedded_autoencoder, embedded_map, alpha=alpha, mode="plain")
    ours = embedded_map.operator_on()(latents)
    samples = take_samples(pixels, pixels, None, torch.device("cpu"))
    (only,) = enhancer._iter_decoded(samples, latents, ours, plan)
    change = enhancer._compose(samples, only, 1 - alpha, grey=False)
    assert float((view + change - expected).abs().max()) < 1e-4


def test_residual_mode_adds_the_difference_of_the_decoded_images_without_repetition(embedded_autoencoder, embedded_map):
    pixels = Pixels.from_image(photo(64, 64))
    latents = embedded_autoencoder.encode(pixels.to_rgb())
    difference = embedded_autoencoder.decode(embedded_map.operator_on()(latents)) - embedded_autoencoder.decode(latents)
    expected = (pixels.to_rgb() + 0.5 * remove_repetition(difference, 8)).clamp(0, 1).mul(255).round()
    result = Pixels.from_image(
        Enhancer(embedded_autoencoder, embedded_map, alpha=0.5, mode="residual")(pixels.to_image())
    )
    assert float((result.to_rgb() * 255 - expected).abs().max()) <= 1


def test_detail_mode_keeps_the_colour_of_areas(embedded_autoencoder, embedded_map):
    """A map that shifts latents changes colours; in detail mode the means of 32 × 32 pixels stay."""
    shifted = with_target(embedded_map, embedded_map.parameters["target_mean"] + 0.5)
    image = photo(160, 128)
    means = {}
    for mode in ("detail", "residual"):
        result = np.asarray(Enhancer(embedded_autoencoder, shifted, mode=mode)(image)).astype(float)
        change = (result - np.asarray(image)).reshape(4, 32, 5, 32, 3).mean((1, 3))
        means[mode] = np.abs(change).mean()
    assert means["detail"] < 0.25 * means["residual"]


@pytest.mark.parametrize("mode", list(TransportMode))
def test_preserve_chroma_changes_luma_only(autoencoder, transport, mode):
    """Red, green and blue change alike unless clipped, by the change of luma without `preserve`."""
    image = photo(64, 48)
    image = image.point(lambda value: 100 + value // 5)
    before, free, kept = (
        np.asarray(each).astype(float)
        for each in (
            image,
            *(Enhancer(autoencoder, transport, mode=mode, preserve=keep)(image) for keep in ((), ("chroma",))),
        )
    )
    inside = ((free > 0) & (free < 255) & (kept > 0) & (kept < 255)).all(-1)
    assert inside.sum() > 100
    change, freely = (each[inside] - before[inside] for each in (kept, free))
    assert np.abs(change).mean() > 0.3
    assert np.abs(change - change[:, :1]).max() <= 1
    assert np.abs(freely - freely[:, :1]).max() > 1
    np.testing.assert_allclose(change[:, 0], freely @ [0.299, 0.587, 0.114], atol=1.01)


def test_preserve_accepts_one_name_and_refuses_unknown_ones(autoencoder, transport):
    assert Enhancer(autoencoder, transport, preserve="chroma").composition.preserve == {Preserve.CHROMA}
    with pytest.raises(ValueError, match="preserve is 'colours': give chroma or mean"):
        Enhancer(autoencoder, transport, preserve="colours")


def test_preserve_mean_equals_a_map_without_mean_shift(autoencoder, transport):
    shifted = with_target(transport, transport.parameters["target_mean"] + 0.5)
    image = photo(64, 48)
    expected = Enhancer(autoencoder, with_target(transport, transport.parameters["source_mean"]), mode="residual")(
        image
    )
    found = Enhancer(autoencoder, shifted, mode="residual", preserve=("mean",))(image)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("adapt", [lambda transport: transport, with_reconstruction])
def test_tiles_have_the_halo_of_the_filters(adapt):
    """With an autoencoder whose blocks are independent, only the filters on cells reach over a cut."""
    autoencoder = as_autoencoder(fake_autoencoders.blocks(), "blocks", dtype=torch.float32, device="cpu")
    transport = adapt(fit(autoencoder, patch_size=1))
    image = photo(203, 147)
    at_once, tiled = (
        np.asarray(Enhancer(autoencoder, transport, tiles=TileOptions(size))(image)).astype(int) for size in (1024, 32)
    )
    assert autoencoder.halo == 0
    assert np.abs(tiled - at_once).max() <= 1


def test_change_of_the_reconstruction_error_is_that_of_its_bands_times_their_gains():
    """Without a change of the latents, nothing else is added."""
    autoencoder = as_autoencoder(fake_autoencoders.blocks(), "blocks", dtype=torch.float32, device="cpu")
    transport = with_reconstruction(fit(autoencoder, patch_size=1))
    gains, mean = transport.change.gains, transport.parameters["target_mean"]
    still = {"matrix": torch.eye(len(mean), dtype=torch.float64), "source_mean": mean}
    transport = replace(transport, parameters={**transport.parameters, **still}, tone=None)
    image = photo(64, 48)
    before = Pixels.from_image(image).to_rgb()
    error = autoencoder.decode(autoencoder.encode(before)) - before
    bands = split_bands(remove_repetition(error, autoencoder.factor), autoencoder.factor)
    shares = torch.tensor([gains.reconstruction_luma, gains.reconstruction_chroma])
    expected = before + 0.5 * (shares[..., None, None, None, None] * bands).sum((0, 1))
    found = Pixels.from_image(Enhancer(autoencoder, transport, alpha=0.5)(image)).to_rgb()
    inside = (expected > 0.01) & (expected < 0.99)  # clipping moves the rest of a cell
    assert (bands[:, 1:].abs().amax((2, 3, 4, 5)) > 1 / 255).all()
    assert (found - expected)[inside].abs().max() < 1.5 / 255


def test_tiles_of_a_local_autoencoder_change_nothing(embedded_autoencoder, embedded_map):
    """The embedded autoencoder is local, so tiles with its halo give what the untiled image gives, to 1/255.

    No photo with fewer pixels is cut, and one as long as this has the least in both tiles.
    """
    image = photo(2201, 145)
    at_once = np.asarray(Enhancer(embedded_autoencoder, embedded_map)(image)).astype(int)
    enhancer = Enhancer(embedded_autoencoder, embedded_map, tiles=TileOptions(size=480))
    pixels = Pixels.from_image(image)
    assert enhancer.enhance(pixels).n_tiles > 1
    assert np.abs(pixels.samples.astype(int) - at_once).max() <= 1


def test_tiles_of_a_global_autoencoder_show_no_seam():
    autoencoder = as_autoencoder(fake_autoencoders.normed(), "normed", dtype=torch.float32, device="cpu")
    image = photo(900, 700)
    enhancer = Enhancer(autoencoder, fit(autoencoder), tiles=TileOptions(size=480))
    pixels = Pixels.from_image(image)
    assert enhancer.enhance(pixels).n_tiles > 1
    change = pixels.samples.astype(int) - np.asarray(image).astype(int)
    columns = np.abs(np.diff(change, axis=1)).mean((0, 2))
    assert columns.max() < 3 * columns.mean(), "no column stands out"


@pytest.mark.parametrize("broken", ["encode", "decode"])
def test_enhancer_with_values_that_are_not_finite_raises(autoencoder, transport, broken, monkeypatch):
    at_once = getattr(type(autoencoder.network), broken)
    monkeypatch.setattr(type(autoencoder.network), broken, lambda self, x: at_once(self, x) * float("inf"))
    with pytest.raises(AutoencoderError, match=r"not finite in float32.*compute\.dtype"):
        Enhancer(autoencoder, transport)(photo())


def test_enhancer_of_sixteen_bits_keeps_their_precision(autoencoder, transport):
    """A ramp of 16-bit values keeps its many values: nothing quantises it to 8 bits."""
    ramp = np.tile(np.linspace(20000, 24000, 256).astype(np.uint16), (64, 1))
    result = np.asarray(Enhancer(autoencoder, transport)(Image.fromarray(ramp)))
    assert result.dtype == np.uint16
    assert len(np.unique(result)) > 2000


def test_enhance_reports_distance_likelihood_and_seconds(autoencoder, transport):
    enhancer = Enhancer(autoencoder, transport)
    outcome = enhancer.enhance(Pixels.from_image(photo().resize((80, 60)).resize((160, 120))))
    assert outcome.transport_mse > 0
    assert outcome.patch_nll_output > outcome.patch_nll, "restoring the missing variance costs likelihood"
    assert set(outcome.seconds) == {"encode", "transport", "decode"}


def test_enhancer_with_a_map_of_another_autoencoder_raises(autoencoder, transport):
    other = as_autoencoder(fake_autoencoders.normed(), "other", dtype=torch.float32, device="cpu")
    with pytest.raises(MapError, match="fitted with the autoencoder 'smooth'"):
        Enhancer(other, transport)


def test_map_file_of_photos_round_trips(transport, tmp_path):
    transport.save(tmp_path / "map.safetensors")
    back = TransportMap.load(tmp_path / "map.safetensors")
    assert back.info == transport.info
    assert back.sha256 == transport.sha256
    for data in (b"", b"12345678", transport.to_bytes()[:100]):
        with pytest.raises(MapError, match="is not a deepot map"):
            TransportMap.from_bytes(data)


def test_pixels_of_an_unsupported_mode_raises():
    with pytest.raises(UnsupportedImageError, match="mode F"):
        Pixels.from_image(Image.new("F", (4, 4)))


def test_paired_moments_of_a_blur_have_less_variance(autoencoder):
    degradation, restorer = deepot.load_degradation("blur:sigma=2"), deepot.load_restorer()
    pixels = Pixels.from_image(photo())
    source, natural = paired_moments(autoencoder, pixels, degradation, restorer, np.random.default_rng(0), 3)
    assert source.gaussian().covariance.trace() < natural.gaussian().covariance.trace()
