"""An autoencoder that does nothing, so that what is left is everything else."""

import time

from torch import Tensor


class Null:
    """Latents are the pixels."""

    factor, channels, halo = 1, 3, 0

    def encode(self, images: Tensor) -> Tensor:
        """The images."""
        return images

    def decode(self, latents: Tensor) -> Tensor:
        """The images."""
        return latents


def codec() -> Null:
    """For `vae: null_codec:codec`."""
    return Null()


class Waiting(Null):
    """The same, a quarter of a second later: a worker that waits for a GPU of its own."""

    def encode(self, images: Tensor) -> Tensor:
        """The images."""
        time.sleep(0.25)
        return images


def waiting() -> Waiting:
    """For `vae: null_codec:waiting`."""
    return Waiting()
