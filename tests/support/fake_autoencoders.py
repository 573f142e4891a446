"""Codecs that tests name as `tests.support.fake_autoencoders:…`: small, exact and fast."""

import os
import struct
import time
import zlib

import torch
import torch.nn.functional as F
from torch import nn


class Shuffle(nn.Module):
    """An invertible codec: pixel unshuffle by 2. Latents (B, 12, h, w); every operation is local to its cell."""

    factor, channels, halo = 2, 12, 0

    def encode(self, images):
        return F.pixel_unshuffle(images, 2) * 2 - 1

    def decode(self, latents):
        return F.pixel_shuffle((latents + 1) / 2, 2)


class Blocks(nn.Module):
    """Averages of 8×8 blocks in colour and of their quarters in brightness: a lossy codec of factor 8."""

    factor, channels, halo = 8, 8, 0

    def encode(self, images):
        quarters = F.pixel_unshuffle(F.avg_pool2d(images, 4).mean(1, keepdim=True), 2)
        mean = F.avg_pool2d(images, 8)
        return torch.cat([mean, quarters, mean.mean(1, keepdim=True)], 1) * 2 - 1

    def decode(self, latents):
        values = (latents + 1) / 2
        detail = F.pixel_shuffle(values[:, 3:7], 2) - F.interpolate(values[:, 7:], scale_factor=2)
        colour = F.interpolate(values[:, :3], scale_factor=8)
        return colour + F.interpolate(detail, scale_factor=4)


class Smooth(nn.Module):
    """A local codec with a receptive field: 3×3 convolutions around a pixel unshuffle."""

    factor, channels, halo = 2, 4, 2

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.down = nn.Conv2d(12, 4, 3, padding=1)
        self.up = nn.Conv2d(4, 12, 3, padding=1)

    def encode(self, images):
        return self.down(F.pixel_unshuffle(images, 2))

    def decode(self, latents):
        return F.pixel_shuffle(self.up(latents), 2)


class Normed(Smooth):
    """The same with a normalisation over the whole map: tiles cannot be exact."""

    halo = None

    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(2, 4, affine=False)

    def encode(self, images):
        return self.norm(super().encode(images))


def shuffle():
    return Shuffle()


def blocks():
    return Blocks()


def smooth():
    return Smooth()


def normed():
    return Normed()


def not_an_autoencoder():
    return object()


class Slow(Shuffle):
    """Takes its time, so that a run can be killed in the middle."""

    def encode(self, images):
        time.sleep(0.25)
        return super().encode(images)


class Crashing(Shuffle):
    """Kills the process over a photo that is one plain colour."""

    def encode(self, images):
        if images.std() == 0 and images.mean() > 0:
            os._exit(9)
        return super().encode(images)


class Faulty(Shuffle):
    """Crashes, hangs or runs out of memory over a photo that is one grey, by its value of 8 bits: 9, 19 or 29."""

    def encode(self, images):
        grey = round(255 * float(images.mean())) if images.min() == images.max() else 0
        if grey == 9:
            os._exit(9)
        if grey == 29:
            return torch.empty(2**60)
        while grey == 19:
            time.sleep(0.1)
        return super().encode(images)


class LeakingMemory(Shuffle):
    """Takes more and more memory over a photo that is one plain colour, until somebody stops it."""

    def encode(self, images):
        allocated = []
        while images.std() == 0 and images.mean() > 0 and len(allocated) < 80:
            allocated.append(torch.ones(25, 2**20))  # 100 MB, touched
            time.sleep(0.05)
        return super().encode(images)


class LosingDevice(Shuffle):
    """Loses its device over a photo that is one plain colour: from then on nothing can be computed."""

    lost = False

    def encode(self, images):
        self.lost = self.lost or bool(images.std() == 0 and images.mean() > 0)
        if self.lost:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return super().encode(images)


def losing_device():
    return LosingDevice()


class LeakingSecret(Shuffle):
    """Tells a secret over a photo that is one plain colour."""

    def encode(self, images):
        if images.std() == 0 and images.mean() > 0:
            raise RuntimeError(f"signed with {os.environ['AWS_SECRET_ACCESS_KEY']}")
        return super().encode(images)


def leaking_secret():
    return LeakingSecret()


UNEXPECTED_ERRORS = (
    struct.error,
    OverflowError,
    IndexError,
    zlib.error,
    AssertionError,
    TypeError,
    KeyError,
    ZeroDivisionError,
)
"""What libraries raise over bytes that their authors have not thought of."""


def _raise_by_colour(images):
    """Raise one of `ODD` over a photo that is one plain colour, 10 for the first, 20 for the second …"""
    if images.min() == images.max() > 0:
        raise UNEXPECTED_ERRORS[round(float(images.mean()) * 25.5) - 1]("odd")


class RaisingUnexpected(Shuffle):
    """Raises one of `ODD` over a photo that is one plain colour."""

    def encode(self, images):
        _raise_by_colour(images)
        return super().encode(images)


def raising_unexpected():
    return RaisingUnexpected()


def raising_restorer():
    def restore(images):
        _raise_by_colour(images)
        return images

    return restore


def leaking_memory():
    return LeakingMemory()


def faulty():
    return Faulty()


def slow():
    return Slow()


def crashing():
    return Crashing()


def in_place_features():
    """Features that change what they are given."""
    return lambda images: [images.sub_(0.5)]


def edge_features():
    """A feature network of two depths: differences between neighbours, and their sizes at half the resolution."""

    def features(images):
        found = torch.cat(
            [images[..., :-1, 1:] - images[..., :-1, :-1], images[..., 1:, :-1] - images[..., :-1, :-1]], 1
        )
        return [found, F.avg_pool2d(found.abs(), 2)]

    return features


def largest_error():
    return lambda image, clean: (image - clean).abs().max()


class MeanAbsoluteError(nn.Module):
    """A metric of pairs that is a network."""

    def forward(self, image, clean):
        return (image - clean).abs().mean()


def normalised_features(scale=1):
    """A feature network with batch normalisation, as a factory leaves it: in training mode."""

    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)
            nn.init.constant_(self.norm.weight, scale)

        def forward(self, images):
            return [self.norm(images)]

    return Normalised()
