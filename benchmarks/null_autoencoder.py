"""Autoencoders without any arithmetic, for measuring everything around the autoencoder."""

import time

from torch import Tensor

WAIT_S = 0.25


class NullAutoencoder:
    """An autoencoder whose latents are the pixels."""

    factor, channels, halo = 1, 3, 0

    def encode(self, images: Tensor) -> Tensor:
        """Return the images."""
        return images

    def decode(self, latents: Tensor) -> Tensor:
        """Return the latents."""
        return latents


class WaitingAutoencoder(NullAutoencoder):
    """The same, but encoding waits for a quarter of a second, as if for a GPU of the worker's own."""

    def encode(self, images: Tensor) -> Tensor:
        """Return the images after `WAIT_S` seconds."""
        time.sleep(WAIT_S)
        return images


def autoencoder() -> NullAutoencoder:
    """Return the autoencoder of `autoencoder: benchmarks.null_autoencoder:autoencoder`."""
    return NullAutoencoder()


def waiting_autoencoder() -> WaitingAutoencoder:
    """Return the autoencoder of `autoencoder: benchmarks.null_autoencoder:waiting_autoencoder`."""
    return WaitingAutoencoder()
