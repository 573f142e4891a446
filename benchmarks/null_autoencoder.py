"""Autoencoders without any arithmetic, for measuring everything around the autoencoder."""

import time

from torch import Tensor

WAIT_S = 0.25


class NullAutoencoder:
    """An autoencoder whose latents are the first pixels of cells of 8 × 8, as many as real ones have for a photo."""

    factor, channels, halo = 8, 3, 0

    def encode(self, images: Tensor) -> Tensor:
        """Return one pixel of every cell, (B, 3, H / 8, W / 8)."""
        return images[:, :, :: self.factor, :: self.factor]

    def decode(self, latents: Tensor) -> Tensor:
        """Return images whose cells have the colour of their latent, (B, 3, 8 h, 8 w)."""
        return latents.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)


class WaitingAutoencoder(NullAutoencoder):
    """The same, but encoding waits for a quarter of a second, as if for a GPU of the worker's own."""

    def encode(self, images: Tensor) -> Tensor:
        """Return the latents after `WAIT_S` seconds."""
        time.sleep(WAIT_S)
        return super().encode(images)


def autoencoder() -> NullAutoencoder:
    """Return the autoencoder of `autoencoder: benchmarks.null_autoencoder:autoencoder`."""
    return NullAutoencoder()


def waiting_autoencoder() -> WaitingAutoencoder:
    """Return the autoencoder of `autoencoder: benchmarks.null_autoencoder:waiting_autoencoder`."""
    return WaitingAutoencoder()
