"""Restorers of natural-looking photos with much error, which tests name as `tests.support.fake_restorers:…`."""

import torch
from torch import nn


class Noisy:
    """Sharpens an image too much and adds noise, the same to images of equal size."""

    def __init__(self, scale=1):
        self.scale = scale

    def __call__(self, images):
        large = nn.functional.interpolate(images, scale_factor=self.scale, mode="nearest")
        padded = nn.functional.pad(large, (1, 1, 1, 1), mode="replicate")
        noise = torch.randn(large.shape, generator=torch.Generator().manual_seed(0))
        return (2 * large - nn.functional.avg_pool2d(padded, 3, 1) + 0.06 * noise).clamp(0, 1)


def noisy():
    """A noisy restorer of scale 1."""
    return Noisy()


def noisy_double():
    """A noisy restorer that doubles both sides."""
    return Noisy(2)
