import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity

from deepot.errors import RestorerError, SpecError
from deepot.evaluation.image_metrics import frechet_distance, psnr, ssim
from deepot.inference.calibration import degrade_photo
from deepot.photo.pixels import Pixels
from deepot.restoration.degradations import load_degradation
from deepot.restoration.loading import load_restorer
from deepot.restoration.restorer import Restorer
from deepot.transport.moments import Moments


def picture(width=64, height=48):
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 3, y * 4, (x + y) * 2], -1).astype(np.uint8))


@pytest.mark.parametrize("spec", ["noise:sigma=25", "jpeg:quality=10", "blur:sigma=1.5", "blur:sigma=1+noise:sigma=5"])
def test_degradations_keep_the_size_and_repeat_with_the_seed(spec):
    degrade = load_degradation(spec)
    first, again = (degrade(picture(), np.random.default_rng(5)) for _ in range(2))
    assert first.size == (64, 48)
    assert first.tobytes() == again.tobytes() != picture().tobytes()


def test_noise_has_its_standard_deviation():
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    noisy = load_degradation("noise:sigma=20")(grey, np.random.default_rng(0))
    assert np.asarray(noisy).std() == pytest.approx(20, rel=0.02)


@pytest.mark.parametrize("maximum", [255, 65535])
def test_a_grey_photo_is_degraded_as_the_grey_file_that_it_is(maximum):
    grey = Pixels(np.full((200, 200, 1), maximum * 128 // 255, np.min_scalar_type(maximum)))
    noisy = degrade_photo(grey, load_degradation("noise:sigma=20"), np.random.default_rng(0))
    assert noisy.samples.shape == grey.samples.shape
    assert noisy.samples.std() == pytest.approx(20, rel=0.02)
    packed = degrade_photo(noisy, load_degradation("blur:sigma=1+jpeg:quality=30"), np.random.default_rng(0))
    assert packed.samples.shape == grey.samples.shape


def test_downscaling_and_resizing_are_a_pair():
    small = load_degradation("downscale:factor=4")(picture(67, 50), np.random.default_rng(0))
    assert small.size == (16, 12)
    large = load_restorer("resize:factor=4")(Pixels.from_image(small))
    assert (large.width, large.height) == (64, 48)
    reference = np.asarray(small.resize((64, 48), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(large.samples - reference).max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK"])
def test_restorers_keep_the_mode(mode):
    pixels = Pixels.from_image(picture().convert(mode))
    for spec in ("nlm:sigma=10", "median:size=3", "resize:factor=2"):
        assert load_restorer(spec)(pixels).to_image().mode == mode


def test_non_local_means_removes_noise():
    noisy = load_degradation("noise:sigma=25")(picture(), np.random.default_rng(0))
    clean, before = Pixels.from_image(picture()).to_rgb(), Pixels.from_image(noisy)
    after = load_restorer("nlm:sigma=25")(before)
    assert psnr(after.to_rgb(), clean) > psnr(before.to_rgb(), clean) + 4


def test_large_photos_are_restored_in_tiles():
    """A pointwise restorer must give the same in tiles; a wrong size is an error."""
    sizes = []

    def brighten(images):
        sizes.append(tuple(images.shape[2:]))
        return images * 0.5

    restorer = Restorer("half", "", 1, brighten, torch.device("cpu"))
    generator = np.random.default_rng(0)
    samples = generator.integers(0, 256, (1300, 1111, 3), dtype=np.uint8)
    result = restorer(Pixels(samples.copy()))
    assert len(sizes) == 2
    assert max(height * width for height, width in sizes) <= 1024**2
    assert np.abs(result.samples - samples / 2).max() <= 0.51
    with pytest.raises(RestorerError, match="where its scale of 2 asks for"):
        Restorer("bad", "", 2, brighten, torch.device("cpu"))(Pixels(samples[:20, :20]))


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("noize:sigma=5", "did you mean 'noise'"),
        ("noise:sigma=-1", "must be above 0"),
        ("noise:5", "option=value"),
        ("jpeg:quality=0", "between 1 and 95"),
        ("noise:level=5", "there is no option 'level'; there are: sigma$"),
        ("noise", "'noise': sigma is missing, as in noise:sigma=…"),
        ("noise:sigma=fifty", "sigma is 'fifty', it must be a number"),
        ("downscale:factor=1.5", "whole number"),
    ],
)
def test_bad_degradations_say_what_is_wrong(spec, error):
    with pytest.raises(SpecError, match=error):
        load_degradation(spec)


def test_bad_restorers_say_what_is_wrong(tmp_path):
    with pytest.raises(SpecError, match="did you mean 'nlm'"):
        load_restorer("nln")
    with pytest.raises(SpecError, match="there is no option 'sigm'; there are: sigma"):
        load_restorer("nlm:sigm=5")
    with pytest.raises(SpecError, match="there is no option 'sigma'; there are: none"):
        load_restorer("identity:sigma=5")
    with pytest.raises(RestorerError, match="--allow-code"):
        load_restorer("os:getcwd")
    with pytest.raises(SpecError, match="cannot import 'no_such_module'"):
        load_restorer("no_such_module:model", allow_code=True)
    with pytest.raises(RestorerError, match="spandrel"):
        load_restorer(f"spandrel:{tmp_path}/no.pth")


def test_psnr_and_ssim(generator):
    truth = torch.rand(1, 3, 40, 50, generator=generator)
    image = (truth + 0.1 * torch.randn(1, 3, 40, 50, generator=generator)).clamp(0, 1)
    expected = structural_similarity(
        truth[0].numpy().astype(float),
        image[0].numpy().astype(float),
        channel_axis=0,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(image, truth) == pytest.approx(expected, abs=2e-3)
    assert psnr(truth + 0.1, truth) == pytest.approx(20)
    assert psnr(truth, truth) == float("inf")


def test_the_frechet_distance_from_photos_without_variance():
    blank, grey = (Moments.from_patches(torch.full((9, 4), value)) for value in (0.0, 1.0))
    assert frechet_distance(blank, blank) == 0
    assert frechet_distance(grey, blank) == float("inf")


def test_frechet_distance_is_relative_and_zero_for_equal_sets(generator):
    features = torch.randn(500, 6, generator=generator)
    moments = Moments.from_patches(features)
    assert frechet_distance(moments, moments) == pytest.approx(0, abs=1e-9)
    shifted, scaled = Moments.from_patches(features + 1), Moments.from_patches(features * 10)
    assert frechet_distance(shifted, moments) == pytest.approx(6 / float(moments.gaussian().covariance.trace()))
    tenfold = Moments.from_patches((features + 1) * 10)
    assert frechet_distance(tenfold, scaled) == pytest.approx(frechet_distance(shifted, moments))


def test_the_median_filter_takes_specks_away_and_keeps_edges():
    samples = np.full((16, 16, 3), 40, np.uint8)
    samples[:, 8:] = 200
    clean = samples.copy()
    samples[4, 4] = samples[9, 12] = (255, 0, 90)
    np.testing.assert_array_equal(load_restorer("median:size=3")(Pixels(samples)).samples, clean)
    with pytest.raises(SpecError, match="odd number from 3 on"):
        load_restorer("median:size=4")
