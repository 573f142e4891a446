import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from deepot.errors import SpecError
from deepot.evaluation import psnr
from deepot.photo.pixels import Pixels
from deepot.restoration.builtin_restorers import NonLocalMeans
from deepot.restoration.degradations import load_degradation
from deepot.restoration.loading import load_restorer
from tests.support.photos import make_gradient, make_photo

STRENGTH, WINDOWS = 8, (5, 21)  # of NonLocalMeans(10)


def as_tensor(array):
    return torch.from_numpy(np.array(array)).permute(2, 0, 1)[None].float() / 255


def as_array(tensor):
    return tensor[0].permute(1, 2, 0).mul(255).round().byte().numpy()


def test_non_local_means_converts_to_the_channel_order_of_opencv_and_back():
    rgb = np.asarray(make_photo(1, 64, 48))
    restored = as_array(NonLocalMeans(10)(as_tensor(rgb)))
    bgr = cv2.fastNlMeansDenoisingColored(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), None, STRENGTH, STRENGTH, *WINDOWS)
    np.testing.assert_array_equal(restored, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
    without_conversion = cv2.fastNlMeansDenoisingColored(rgb, None, STRENGTH, STRENGTH, *WINDOWS)
    assert (restored != without_conversion).mean() > 0.1, "on this photo the channel order must make a difference"


def test_non_local_means_keeps_grey_photos_grey():
    grey = Pixels.from_image(make_photo(1, 64, 48).convert("L"))
    coloured = Pixels(np.repeat(grey.samples, 3, 2))
    restored = load_restorer("nlm:sigma=10")(coloured).samples
    assert np.ptp(restored.astype(int), axis=2).max() <= 1, "Lab in 8 bits rounds"
    np.testing.assert_allclose(load_restorer("nlm:sigma=10")(grey).samples, restored[:, :, 1:2], atol=1)


def test_non_local_means_removes_noise():
    noisy = load_degradation("noise:sigma=25")(make_gradient(), np.random.default_rng(0))
    clean, before = Pixels.from_image(make_gradient()).to_rgb(), Pixels.from_image(noisy)
    after = load_restorer("nlm:sigma=25")(before)
    assert psnr(after.to_rgb(), clean) > psnr(before.to_rgb(), clean) + 4


def test_median_removes_specks_and_keeps_edges():
    samples = np.full((16, 16, 3), 40, np.uint8)
    samples[:, 8:] = 200
    clean = samples.copy()
    samples[4, 4] = samples[9, 12] = (255, 0, 90)
    np.testing.assert_array_equal(load_restorer("median:size=3")(Pixels(samples)).samples, clean)


def test_median_with_an_even_window_is_refused():
    with pytest.raises(SpecError, match="odd number from 3 on"):
        load_restorer("median:size=4")


def test_resize_enlarges_as_pillow_does():
    small = make_gradient(16, 12)
    large = load_restorer("resize:factor=4")(Pixels.from_image(small))
    assert (large.width, large.height) == (64, 48)
    reference = np.asarray(small.resize((64, 48), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(large.samples - reference).max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("spec", ["nlm:sigma=10", "median:size=3", "resize:factor=2"])
def test_builtin_restorers_keep_the_mode(spec, mode):
    pixels = Pixels.from_image(make_gradient().convert(mode))
    assert load_restorer(spec)(pixels).to_image().mode == mode
