"""The method with real photos and published models, if they are installed beside the checkout."""

import numpy as np
import pytest
import torch
from PIL import Image

import deepot
from deepot.evaluation.image_metrics import frechet_distance, psnr
from deepot.inference.calibration import degrade_photo
from deepot.photo.pixels import Pixels
from deepot.spec import call_factory
from deepot.transport.moments import Moments
from deepot.transport.patch_operator import extract_patches


@pytest.fixture(scope="module")
def kodak(shared_folder):
    paths = sorted((shared_folder / "data" / "photos" / "kodak").iterdir())[::6]
    return [Pixels.from_image(Image.open(path).crop((100, 100, 244, 244))) for path in paths]


def test_embedded_autoencoder_reconstructs_real_photos(kodak, embedded_autoencoder):
    values = [
        psnr(embedded_autoencoder.decode(embedded_autoencoder.encode(photo.to_rgb())).clamp(0, 1), photo.to_rgb())
        for photo in kodak
    ]
    assert np.mean(values) > 27, "crops of four photos; the model card has the figure of all 24"


def test_enhancer_with_published_models_moves_towards_natural_photos(kodak):
    """FFDNet's results move towards natural photos in the feature space of a network that no one here trained."""
    autoencoder = deepot.load_autoencoder("taef2:codec", dtype=torch.float32, allow_code=True)
    restorer = deepot.load_restorer("ffdnet:denoiser:sigma=50", allow_code=True)
    features = call_factory("vgg_features:features")
    noise = deepot.load_degradation("noise:sigma=50")
    assert (autoencoder.factor, autoencoder.channels, autoencoder.halo) == (8, 32, None)
    noisy = [degrade_photo(photo, noise, np.random.default_rng(seed)) for seed, photo in enumerate(kodak)]
    restored = [restorer(photo) for photo in noisy]
    assert np.mean([psnr(x.to_rgb(), y.to_rgb()) for x, y in zip(restored, kodak, strict=True)]) > 24

    images = [[photo.to_image() for photo in photos] for photos in (restored, kodak)]
    enhancer = deepot.Enhancer(autoencoder, deepot.fit_images(autoencoder, *images, patch_size=1))
    enhanced = [Pixels.from_image(enhancer(image)) for image in images[0]]

    def second_map(photos):
        with torch.inference_mode():
            return Moments.from_patches(
                torch.cat([extract_patches(features(photo.to_rgb())[1], 1) for photo in photos])
            )

    natural = second_map(kodak)
    assert frechet_distance(second_map(enhanced), natural) < 0.6 * frechet_distance(second_map(restored), natural)
