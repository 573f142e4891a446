"""The enhancement of one photo, which may be queued on a device before that of an earlier photo is finished."""

import logging
from collections.abc import Callable

import torch

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference.host_copy import HostCopy
from deepot.inference.queued_photo import EnhanceStats, QueuedPhoto
from deepot.inference.tile_options import TileOptions
from deepot.photo import Pixels
from deepot.tiling import retry_with_smaller_tiles

log = logging.getLogger(__name__)

MAX_QUEUED_PIXELS = 32_000_000
"""Larger photos are not queued beside others. One of these holds about 11 bytes a pixel on the device until it is
finished, of which 6 are samples and 4 latents of the embedded autoencoder."""


class Enhancement:
    """What `Enhancer.prepare` returns: the samples of the photo are those of the result when `finish` has returned.

    Example:
        >>> import deepot, torch
        >>> import numpy as np
        >>> from PIL import Image
        >>> autoencoder = deepot.load_autoencoder("embedded", device="cpu", dtype=torch.float32)
        >>> natural = Image.linear_gradient("L").resize((64, 64)).quantize(8).convert("L")
        >>> restored = natural.resize((32, 32)).resize((64, 64))
        >>> transport = deepot.fit_images(autoencoder, [restored], [natural], patch_size=1)
        >>> enhancement = deepot.Enhancer(autoencoder, transport).prepare(deepot.Pixels.from_image(restored))
        >>> enhancement.begin()
        >>> enhancement.is_queued  # nothing would go on meanwhile on a CPU
        False
        >>> enhancement.finish().n_tiles
        1
    """

    def __init__(
        self,
        autoencoder: LoadedAutoencoder,
        tiles: TileOptions,
        original: Pixels,
        pixels: Pixels,
        queue: Callable[[int], QueuedPhoto],
        complete: Callable[[EnhanceStats], EnhanceStats],
    ) -> None:
        """Keep what is to be computed; nothing is computed yet.

        Args:
            autoencoder: The autoencoder.
            tiles: How the photo is cut.
            original: The photo x*.
            pixels: The photo whose samples become those of the result.
            queue: Queues the photo on the device in tiles of this side.
            complete: Does on the host what is left when the device has finished, and returns the measurements.
        """
        self._autoencoder, self._tiles, self._original, self._pixels = autoencoder, tiles, original, pixels
        self._queue, self._complete = queue, complete
        self._begun: tuple[QueuedPhoto, HostCopy] | None = None

    @property
    def is_queued(self) -> bool:
        """Whether the device has all of the photo's work; otherwise `finish` computes the photo."""
        return self._begun is not None

    def begin(self) -> None:
        """Queue the photo on a CUDA device without waiting for it, unless it is larger than `MAX_QUEUED_PIXELS`.

        If memory does not suffice, nothing is queued, and `finish` begins with the full tiles again: as earlier photos
        are finished then, their memory does not decide the tiles of this one.
        """
        pixel_count = self._pixels.height * self._pixels.width
        if self._autoencoder.device.type != "cuda" or pixel_count > MAX_QUEUED_PIXELS:
            return
        try:
            queued = self._queue(self._tiles.size)
            self._begun = queued, queued.begin_copies()
        except torch.OutOfMemoryError:
            self._restore_samples()
            log.info("out of accelerator memory beside another photo: this photo is computed alone")

    def finish(self) -> EnhanceStats:
        """Wait for the result, or compute it if nothing is queued; returns what was measured.

        Raises:
            AutoencoderError: The autoencoder returned values that are not finite; no sample is changed.
            torch.OutOfMemoryError: The smallest sensible tiles need too much memory, or the CPU ran out of it.
        """
        if self._begun is None:
            return self._complete(self._compute())
        (queued, copy), self._begun = self._begun, None
        return self._complete(queued.finish(self._autoencoder, copy))

    def _compute(self) -> EnhanceStats:
        """Compute the photo, in smaller tiles if the memory of an accelerator does not suffice."""

        def compute(size: int) -> EnhanceStats:
            if size < self._tiles.size:
                self._restore_samples()
            queued = self._queue(size)
            return queued.finish(self._autoencoder, queued.begin_copies())

        retries = self._autoencoder.device.type != "cpu"
        min_size = self._tiles.min_size(self._autoencoder) if retries else self._tiles.size
        stats, _ = retry_with_smaller_tiles(compute, self._tiles.size, min_size)
        return stats

    def _restore_samples(self) -> None:
        self._pixels.samples[:] = self._original.samples
