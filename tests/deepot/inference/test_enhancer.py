from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import deepot
from deepot.autoencoder.autoencoder import as_autoencoder
from deepot.errors import AutoencoderError, MapError, UnsupportedImageError
from deepot.inference.calibration import paired_moments
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import Preserve, TransportMode
from deepot.inference.tile_options import TileOptions
from deepot.inference.tiled_autoencoder import encode_tiled
from deepot.photo.pixels import Pixels
from deepot.transport.gaussian import Affine
from deepot.transport.transport_map import TransportMap
from tests.support import fake_autoencoders as codecs
from tests.support import naive_transport as reference

MODES = ("L", "LA", "RGB", "RGBA", "CMYK", "I;16")


def photo(width=160, height=120, mode="RGB", seed=0):
    """A picture with edges, ramps and texture."""
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


def fitted(codec, patch_size=3):
    natural = [photo(seed=seed) for seed in range(3)]
    smooth = [image.resize((80, 60)).resize((160, 120)) for image in natural]
    return deepot.fit_images(codec, smooth, natural, patch_size=patch_size)


def with_target(transport, target_mean):
    """A single map to another mean."""
    return replace(transport, parameters={**transport.parameters, "target_mean": target_mean})


@pytest.fixture(scope="module")
def codec():
    return as_autoencoder(codecs.smooth(), "smooth", dtype=torch.float32, device="cpu")


@pytest.fixture(scope="module")
def transport(codec):
    return fitted(codec)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("output", list(TransportMode))
def test_alpha_one_gives_the_image_back_bit_for_bit(codec, transport, mode, output):
    image = photo(61, 47, mode)
    result = Enhancer(codec, transport, alpha=1, mode=output)(image)
    assert result.mode == image.mode
    np.testing.assert_array_equal(np.asarray(result), np.asarray(image))


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_changed_and_kept(codec, transport, mode):
    image = photo(64, 48, mode)
    result = Enhancer(codec, transport)(image)
    assert (result.mode, result.size) == (image.mode, image.size)
    assert (np.asarray(result) != np.asarray(image)).mean() > 0.3
    if mode == "RGBA":
        np.testing.assert_array_equal(np.asarray(result)[..., 3], np.asarray(image)[..., 3])
    if mode == "CMYK":
        np.testing.assert_array_equal(np.asarray(result)[..., 3], np.asarray(image)[..., 3])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (7, 5), (65, 63), (64, 48)])
@pytest.mark.parametrize("patch_size", [1, 3, 5])
def test_any_size_goes_through(codec, size, patch_size):
    image = photo(*size)
    assert Enhancer(codec, fitted(codec, patch_size))(image).size == size


@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000)])
def test_a_line_of_pixels_goes_through_whole_and_in_tiles(codec, transport, size):
    image = photo(*size)
    whole, tiled = (Enhancer(codec, transport, tiles=TileOptions(tile))(image) for tile in (1424, 64))
    assert whole.size == tiled.size == size
    assert np.abs(np.asarray(whole).astype(int) - np.asarray(tiled)).max() <= 1


@pytest.mark.parametrize("alpha", [0.0, 0.25, -0.5, 1.5])
def test_plain_equals_the_float64_reference(embedded_autoencoder, alpha):
    """decode(fold(T(unfold(encode(x))))) in float64 up to the decoder, to 1e-4 in pixel value."""
    transport = fitted(embedded_autoencoder)
    image = photo(152, 117)
    pixels = Pixels.from_image(image)
    plan = TileOptions().plan(embedded_autoencoder, pixels)
    latents = encode_tiled(embedded_autoencoder, pixels, plan)
    affine = Affine(**transport.parameters)
    moved = reference.transport_latents(latents, affine.matrix, affine.bias(), 3)
    view = pixels.to_rgb()
    expected = (1 - alpha) * embedded_autoencoder.decode(moved.float())[..., :117, :152] + alpha * view

    enhancer = Enhancer(embedded_autoencoder, transport, alpha=alpha, mode="plain")
    ours = transport.operator_on()(latents)
    (only,) = enhancer._iter_differences(pixels, latents, ours, plan)
    assert float((view + only.values - expected).abs().max()) < 1e-4


def test_residual_adds_the_difference_of_the_two_decodings(embedded_autoencoder):
    transport = fitted(embedded_autoencoder)
    pixels = Pixels.from_image(photo(64, 64))
    latents = embedded_autoencoder.encode(pixels.to_rgb())
    difference = embedded_autoencoder.decode(transport.operator_on()(latents)) - embedded_autoencoder.decode(latents)
    expected = (pixels.to_rgb() + 0.5 * difference).clamp(0, 1).mul(255).round()
    result = Pixels.from_image(Enhancer(embedded_autoencoder, transport, alpha=0.5, mode="residual")(pixels.to_image()))
    assert float((result.to_rgb() * 255 - expected).abs().max()) <= 1


def test_detail_keeps_the_colour_of_areas(embedded_autoencoder):
    """A map that shifts latents changes colours; in detail mode the means of 32 × 32 pixels stay."""
    transport = fitted(embedded_autoencoder)
    shifted = with_target(transport, transport.parameters["target_mean"] + 0.5)
    image = photo(160, 128)
    means = {}
    for mode in ("detail", "residual"):
        result = np.asarray(Enhancer(embedded_autoencoder, shifted, mode=mode)(image)).astype(float)
        change = (result - np.asarray(image)).reshape(4, 32, 5, 32, 3).mean((1, 3))
        means[mode] = np.abs(change).mean()
    assert means["detail"] < 0.25 * means["residual"]


@pytest.mark.parametrize("mode", list(TransportMode))
def test_colour_can_be_kept(codec, transport, mode):
    """Red, green and blue change alike, so far as they are not clipped, and as luma does without it."""
    image = photo(64, 48)
    image = image.point(lambda value: 100 + value // 5)
    before, free, kept = (
        np.asarray(each).astype(float)
        for each in (
            image,
            *(Enhancer(codec, transport, mode=mode, preserve=keep)(image) for keep in ((), ("chroma",))),
        )
    )
    inside = ((free > 0) & (free < 255) & (kept > 0) & (kept < 255)).all(-1)
    assert inside.sum() > 100
    change, freely = (each[inside] - before[inside] for each in (kept, free))
    assert np.abs(change).mean() > 0.3
    assert np.abs(change - change[:, :1]).max() <= 1
    assert np.abs(freely - freely[:, :1]).max() > 1
    np.testing.assert_allclose(change[:, 0], freely @ [0.299, 0.587, 0.114], atol=1.01)


def test_a_single_name_will_do_and_an_unknown_one_is_named(codec, transport):
    assert Enhancer(codec, transport, preserve="chroma").preserve == {Preserve.CHROMA}
    with pytest.raises(ValueError, match="'colours' is not a valid Preserve"):
        Enhancer(codec, transport, preserve="colours")


def test_the_mean_of_latents_can_be_kept(codec, transport):
    shifted = with_target(transport, transport.parameters["target_mean"] + 0.5)
    image = photo(64, 48)
    wanted = Enhancer(codec, with_target(transport, transport.parameters["source_mean"]), mode="residual")(image)
    found = Enhancer(codec, shifted, mode="residual", preserve=("mean",))(image)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))


def test_details_need_a_position_more_of_halo():
    """With an autoencoder that looks at its own blocks alone, only the details reach over a cut."""
    codec = as_autoencoder(codecs.blocks(), "blocks", dtype=torch.float32, device="cpu")
    transport = fitted(codec, patch_size=1)
    image = photo(203, 147)
    whole, tiled = (
        np.asarray(Enhancer(codec, transport, tiles=TileOptions(size))(image)).astype(int) for size in (1024, 32)
    )
    assert codec.halo == 0
    assert np.abs(tiled - whole).max() <= 1


def test_tiles_show_no_seam_and_change_nothing(embedded_autoencoder):
    """The embedded autoencoder is local, so tiles with its halo give what the whole image gives, to 1/255."""
    transport = fitted(embedded_autoencoder)
    image = photo(643, 621)
    whole = np.asarray(Enhancer(embedded_autoencoder, transport)(image)).astype(int)
    enhancer = Enhancer(embedded_autoencoder, transport, tiles=TileOptions(size=320))
    pixels = Pixels.from_image(image)
    assert enhancer.enhance(pixels).n_tiles == 4
    assert np.abs(pixels.samples.astype(int) - whole).max() <= 1


def test_tiles_of_a_global_codec_are_cross_faded():
    codec = as_autoencoder(codecs.normed(), "normed", dtype=torch.float32, device="cpu")
    image = photo(900, 700)
    enhancer = Enhancer(codec, fitted(codec), tiles=TileOptions(size=480))
    pixels = Pixels.from_image(image)
    assert enhancer.enhance(pixels).n_tiles > 1
    change = pixels.samples.astype(int) - np.asarray(image).astype(int)
    columns = np.abs(np.diff(change, axis=1)).mean((0, 2))
    assert columns.max() < 3 * columns.mean(), "no column stands out"


@pytest.mark.parametrize("broken", ["encode", "decode"])
def test_values_that_are_not_finite_are_an_error(codec, transport, broken, monkeypatch):
    whole = getattr(type(codec.network), broken)
    monkeypatch.setattr(type(codec.network), broken, lambda self, x: whole(self, x) * float("inf"))
    with pytest.raises(AutoencoderError, match=r"not finite in float32.*compute\.dtype"):
        Enhancer(codec, transport)(photo())


def test_sixteen_bits_stay_sixteen_bits(codec, transport):
    """A ramp of 16-bit values keeps its many values: the network's 8 bits do not quantise it."""
    ramp = np.tile(np.linspace(20000, 24000, 256).astype(np.uint16), (64, 1))
    result = np.asarray(Enhancer(codec, transport)(Image.fromarray(ramp)))
    assert result.dtype == np.uint16
    assert len(np.unique(result)) > 2000


def test_what_it_reports(codec, transport):
    enhancer = Enhancer(codec, transport)
    outcome = enhancer.enhance(Pixels.from_image(photo().resize((80, 60)).resize((160, 120))))
    assert outcome.transport_mse > 0
    assert outcome.patch_nll_output > outcome.patch_nll, "variance that was missing costs likelihood of a Gaussian"
    assert set(outcome.seconds) == {"encode", "transport", "decode"}


def test_naturalness_is_the_gaussian_likelihood(codec, transport):
    from deepot.transport.patch_nll import PatchNll
    from deepot.transport.patch_operator import extract_patches

    latents = codec.encode(Pixels.from_image(photo()).to_rgb())
    patches = extract_patches(latents, 3).double()
    mean, covariance = transport.reference
    covariance = covariance + 1e-12 * torch.eye(len(mean)).double() * covariance.trace()
    exact = torch.distributions.MultivariateNormal(mean, covariance).log_prob(patches).mean() / -len(mean)
    assert PatchNll(transport.reference, 3)(latents) == pytest.approx(float(exact), rel=1e-3)


def test_the_reference_itself_has_the_expected_naturalness(codec):
    from deepot.transport.patch_nll import PatchNll

    pixels = Pixels.from_image(photo())
    moments = deepot.photo_moments(codec, pixels, 3)
    naturalness = PatchNll(moments.gaussian(), 3)
    assert naturalness(codec.encode(pixels.to_rgb())) == pytest.approx(naturalness.expected, abs=1e-3)
    smooth = Pixels.from_image(photo().resize((40, 30)).resize((160, 120)))
    assert naturalness(codec.encode(smooth.to_rgb())) < naturalness.expected


def test_a_map_of_another_codec_is_refused(codec, transport):
    other = as_autoencoder(codecs.normed(), "other", dtype=torch.float32, device="cpu")
    with pytest.raises(MapError, match="fitted with the autoencoder 'smooth'"):
        Enhancer(other, transport)


def test_map_files_come_back(transport, tmp_path):
    transport.save(tmp_path / "map.safetensors")
    back = TransportMap.load(tmp_path / "map.safetensors")
    assert back.info == transport.info
    assert back.sha256 == transport.sha256
    for damage in (b"", b"12345678", transport.to_bytes()[:100]):
        with pytest.raises(MapError, match="is not a deepot map"):
            TransportMap.from_bytes(damage)


def test_modes_without_a_way_back_are_refused():
    with pytest.raises(UnsupportedImageError, match="mode F"):
        Pixels.from_image(Image.new("F", (4, 4)))


def test_matched_calibration_brings_the_restored_side_to_the_natural_one(codec):
    degradation, restorer = deepot.load_degradation("blur:sigma=2"), deepot.load_restorer()
    pixels = Pixels.from_image(photo())
    source, natural = paired_moments(codec, pixels, degradation, restorer, np.random.default_rng(0), 3)
    assert source.gaussian().covariance.trace() < natural.gaussian().covariance.trace()
