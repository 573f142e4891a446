import pytest
import torch
from skimage.metrics import structural_similarity

from deepot.evaluation.image_metrics import frechet_distance, psnr, ssim
from deepot.transport.moments import Moments


def test_psnr_of_a_constant_error_and_of_equal_images(generator):
    truth = torch.rand(1, 3, 40, 50, generator=generator)
    assert psnr(truth + 0.1, truth) == pytest.approx(20)
    assert psnr(truth, truth) == float("inf")


def test_ssim_agrees_with_scikit_image(generator):
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


def test_frechet_distance_to_photos_without_variance_is_zero_or_infinite():
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
