"""Feature networks and image metrics that tests name as `tests.support.fake_metrics:…`."""

import torch
import torch.nn.functional as F
from torch import nn


def in_place_features():
    """Features that change their input in place."""
    return lambda images: [images.sub_(0.5)]


def edge_features():
    """A feature network of two depths: differences between neighbours, and their magnitudes at half the resolution."""

    def features(images):
        found = torch.cat(
            [images[..., :-1, 1:] - images[..., :-1, :-1], images[..., 1:, :-1] - images[..., :-1, :-1]], 1
        )
        return [found, F.avg_pool2d(found.abs(), 2)]

    return features


def largest_error():
    return lambda image, clean: (image - clean).abs().max()


class MeanAbsoluteError(nn.Module):
    """An image metric that is a torch module."""

    def forward(self, image, clean):
        return (image - clean).abs().mean()


def normalised_features(scale=1):
    """A feature network with batch normalisation, in training mode as a factory leaves it."""

    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)
            nn.init.constant_(self.norm.weight, scale)

        def forward(self, images):
            return [self.norm(images)]

    return Normalised()
