"""A large image through the whole transport: seconds, peak memory, and whether tiles show.

    python benchmarks/large_image.py --map RUN/map-0001.safetensors --width 12000 --height 9000 --threads 2 --json FILE

The image is made from ramps and repeated photo-like texture. Memory is the process's peak above what it held with
models and map loaded, the decoded image included. The seam figure is the mean absolute difference between
neighbouring columns of the change x̂ − x* at the cuts between tiles, over that of all columns: 1 means no seam; there
is none where only some tiles are computed.
"""

import argparse
import json
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from record import save
from torch import Tensor

from deepot.autoencoder import Autoencoder, load_autoencoder
from deepot.inference import Enhancer, TileOptions
from deepot.photo import Pixels
from deepot.transport import TransportMap


def synthetic(width: int, height: int) -> Pixels:
    """Ramps and soft texture, made in bands."""
    generator = np.random.default_rng(0)
    texture = generator.normal(0, 1, (2, 256, 256, 3)).cumsum(1).cumsum(2)
    texture = ((texture[0] - texture[0].mean()) / texture[0].std() * 30).astype(np.float32)
    samples = np.empty((height, width, 3), np.uint8)
    across = np.linspace(40, 200, width, dtype=np.float32)[None, :, None]
    columns = np.arange(width) % 256
    for top in range(0, height, 16):
        rows = np.arange(top, min(top + 16, height))
        band = across * 0.7 + (rows / height * 80)[:, None, None] + texture[rows % 256][:, columns]
        samples[rows] = band.clip(0, 255)
    return Pixels(samples)


def peak_bytes() -> int:
    """The largest resident size so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class FirstTiles:
    """An autoencoder that works on a few tiles only; what it gives of the others is zero."""

    def __init__(self, whole: Autoencoder, tiles: int) -> None:
        self.factor, self.channels = whole.factor, whole.channels
        self._whole, self._left = whole, {"encode": tiles, "decode": 2 * tiles}

    def encode(self, images: Tensor) -> Tensor:
        """Latents."""
        if self._due("encode"):
            return self._whole.encode(images)
        return images.new_zeros(1, self.channels, images.shape[2] // self.factor, images.shape[3] // self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        """Images."""
        if self._due("decode"):
            return self._whole.decode(latents)
        return latents.new_zeros(1, 3, latents.shape[2] * self.factor, latents.shape[3] * self.factor)

    def _due(self, what: str) -> bool:
        self._left[what] -= 1
        return self._left[what] >= 0


def main() -> None:
    """Transport one large image and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", type=Path, required=True)
    parser.add_argument("--width", type=int, default=12000)
    parser.add_argument("--height", type=int, default=9000)
    parser.add_argument("--tile", type=int, default=TileOptions.size)
    parser.add_argument(
        "--computed-tiles",
        type=int,
        help="for memory alone: the autoencoder works on so many tiles, as what it needs for one it needs for all",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    codec = load_autoencoder()
    if options.computed_tiles is not None:
        codec = replace(codec, network=FirstTiles(codec.network, options.computed_tiles))
    enhancer = Enhancer(codec, TransportMap.load(options.map), tiles=TileOptions(options.tile))
    loaded = peak_bytes()
    pixels = synthetic(options.width, options.height)
    started = time.perf_counter()
    outcome = enhancer.enhance(pixels)
    seconds = time.perf_counter() - started
    memory = peak_bytes() - loaded
    before = synthetic(options.width, options.height)
    steps = np.zeros(options.width - 1)
    for top in range(0, options.height, 256):
        change = pixels.samples[top : top + 256].astype(np.int16) - before.samples[top : top + 256]
        steps += np.abs(np.diff(change, axis=1)).sum((0, 2))
    cuts = [span.keep_start * codec.factor - 1 for span in enhancer.tiles.plan(codec, pixels).columns[1:]]
    seam = float(steps[cuts].mean() / steps.mean()) if cuts and options.computed_tiles is None else None
    record = {
        "width": options.width,
        "height": options.height,
        "tile": options.tile,
        "tiles": outcome.n_tiles,
        "computed_tiles": options.computed_tiles,
        "seconds": seconds,
        "megapixels_per_second": options.width * options.height / 1e6 / seconds,
        "peak_bytes_above_loaded": memory,
        "seam": seam,
        "dtype": str(codec.dtype),
        "threads": options.threads,
    }
    print(json.dumps(record, indent=2))
    save(options.json, options, record)


if __name__ == "__main__":
    main()
