"""Sound autoencoders: small, deterministic and fast."""

import os

import torch
import torch.nn.functional as F
from torch import nn


class Shuffle(nn.Module):
    """Pixel unshuffle by 2: invertible, latents (B, 12, h, w), every operation local to its cell."""

    factor, channels, halo = 2, 12, 0

    def encode(self, images):
        return F.pixel_unshuffle(images, 2) * 2 - 1

    def decode(self, latents):
        return F.pixel_shuffle((latents + 1) / 2, 2)


class Blocks(nn.Module):
    """Means of 8×8 blocks in colour and of their quarters in brightness: lossy, factor 8."""

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
    """3×3 convolutions around a pixel unshuffle: local, with a receptive field."""

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
    """`Smooth` with a normalisation over the whole image: tiles cannot be exact."""

    halo = None

    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(2, 4, affine=False)

    def encode(self, images):
        return self.norm(super().encode(images))


def shuffle():
    return Shuffle()


def shuffle_with_key():
    """Load only where the environment has the key that a test hands to the workers."""
    if os.environ.get("ARCHIVE_KEY") != "of the job":
        raise ValueError("ARCHIVE_KEY is not set here")
    return Shuffle()


def blocks():
    return Blocks()


def smooth():
    return Smooth()


def normed():
    return Normed()


def not_an_autoencoder():
    return object()
