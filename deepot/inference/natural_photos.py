"""Recognising photos that look natural already and need no transport."""

from collections.abc import Sequence

import torch

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference.centre_square import centre_square
from deepot.inference.tiled_autoencoder import check_finite
from deepot.photo import Pixels
from deepot.transport import Moments, NaturalTest, compute_patch_moments

_PATCH_SIZE = 2  # of the latents


def natural_test_dimension(autoencoder: LoadedAutoencoder) -> int:
    """Return the dimension of the vectors that a test of natural photos compares."""
    return autoencoder.channels * _PATCH_SIZE**2


@torch.inference_mode()
def measure_latents(autoencoder: LoadedAutoencoder, photo: Pixels) -> Moments:
    """Return the moments of the latent patches of the centre square of a photo, 2 × 2 latents each.

    Without any if the photo is smaller than a patch.

    Raises:
        AutoencoderError: The autoencoder returned values that are not finite.

    Example:
        >>> import deepot, numpy as np
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype="float32")
        >>> photo = deepot.Pixels(np.zeros((48, 72, 3), np.uint8))
        >>> moments = measure_latents(autoencoder, photo)
        >>> moments.count == 5 * 8, moments.dimension == natural_test_dimension(autoencoder)
        (True, True)
    """
    square = centre_square(photo, autoencoder.factor)
    if square is None:
        return Moments.empty(natural_test_dimension(autoencoder))
    latents = autoencoder.encode(photo.to_rgb(*square, autoencoder.device))
    check_finite(autoencoder, latents)
    return compute_patch_moments(latents, _PATCH_SIZE)


def looks_natural(autoencoder: LoadedAutoencoder, test: NaturalTest | None, pages: Sequence[Pixels]) -> bool:
    """Return whether every page of a photo looks natural by a test; not without a test, or if a page is tiny.

    Args:
        autoencoder: The autoencoder that the map of the test was fitted with.
        test: The test; None if nothing shows what natural photos look like.
        pages: The photo, or its pages.

    Raises:
        AutoencoderError: The autoencoder returned values that are not finite.
    """
    return test is not None and all(test.passes(measure_latents(autoencoder, page)) for page in pages)
