"""A large image through the whole transport: seconds, peak memory, and whether tiles show.

    python benchmarks/bench_large_image.py --map MAP.safetensors --width 12000 --height 9000 --threads 2 --json FILE

The image consists of ramps and repeated photo-like texture. Memory is the peak of the process above what it held with
models and map loaded, the decoded image included. The seam ratio is the mean absolute difference between neighbouring
columns of the change x̂ − x* at the cuts between tiles, over that of all columns: 1 means no seam. It is left out
where only some tiles are computed.
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks._results import make_parser, peak_rss_mib, save_results
from deepot.autoencoder import Autoencoder, load_autoencoder
from deepot.inference import Enhancer, TileOptions
from deepot.photo import Pixels
from deepot.transport import TransportMap

_TEXTURE_SIDE = 256
_ROWS_AT_ONCE = 16


def make_image(width: int, height: int) -> Pixels:
    """Return ramps with soft texture, made in bands of rows."""
    generator = np.random.default_rng(0)
    texture = generator.normal(0, 1, (2, _TEXTURE_SIDE, _TEXTURE_SIDE, 3)).cumsum(1).cumsum(2)
    texture = ((texture[0] - texture[0].mean()) / texture[0].std() * 30).astype(np.float32)
    samples = np.empty((height, width, 3), np.uint8)
    ramp = np.linspace(40, 200, width, dtype=np.float32)[None, :, None]
    columns = np.arange(width) % _TEXTURE_SIDE
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = np.arange(top, min(top + _ROWS_AT_ONCE, height))
        band = ramp * 0.7 + (rows / height * 80)[:, None, None] + texture[rows % _TEXTURE_SIDE][:, columns]
        samples[rows] = band.clip(0, 255)
    return Pixels(samples)


class FirstTilesOnly:
    """An autoencoder that computes only a number of tiles; its output for the others is zero."""

    def __init__(self, autoencoder: Autoencoder, tiles: int) -> None:
        self.factor, self.channels = autoencoder.factor, autoencoder.channels
        self._autoencoder, self._remaining = autoencoder, {"encode": tiles, "decode": 2 * tiles}

    def encode(self, images: Tensor) -> Tensor:
        """Return latents."""
        if self._is_computed("encode"):
            return self._autoencoder.encode(images)
        return images.new_zeros(1, self.channels, images.shape[2] // self.factor, images.shape[3] // self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        """Return images."""
        if self._is_computed("decode"):
            return self._autoencoder.decode(latents)
        return latents.new_zeros(1, 3, latents.shape[2] * self.factor, latents.shape[3] * self.factor)

    def _is_computed(self, operation: str) -> bool:
        self._remaining[operation] -= 1
        return self._remaining[operation] >= 0


def column_differences(pixels: Pixels, before: Pixels) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the summed absolute difference of neighbouring columns of the change, (width − 1,)."""
    sums = np.zeros(pixels.width - 1)
    for top in range(0, pixels.height, 256):
        change = pixels.samples[top : top + 256].astype(np.int16) - before.samples[top : top + 256]
        sums += np.abs(np.diff(change, axis=1)).sum((0, 2))
    return sums


def main() -> None:
    """Transport one large image."""
    parser = make_parser(__doc__)
    parser.add_argument("--map", type=Path, required=True, help="a map of the embedded autoencoder")
    parser.add_argument("--width", type=int, default=12000)
    parser.add_argument("--height", type=int, default=9000)
    parser.add_argument("--tile", type=int, default=TileOptions.size, help="side of a tile in pixels")
    parser.add_argument("--computed-tiles", type=int, help="compute only this many tiles: enough for measuring memory")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    autoencoder = load_autoencoder()
    if options.computed_tiles is not None:
        autoencoder = replace(autoencoder, network=FirstTilesOnly(autoencoder.network, options.computed_tiles))
    enhancer = Enhancer(autoencoder, TransportMap.load(options.map), tiles=TileOptions(options.tile))
    loaded_mib = peak_rss_mib()
    pixels = make_image(options.width, options.height)
    started = time.perf_counter()
    stats = enhancer.enhance(pixels)
    seconds = time.perf_counter() - started
    memory = int((peak_rss_mib() - loaded_mib) * 2**20)
    differences = column_differences(pixels, make_image(options.width, options.height))
    tile_starts = [span.keep_start for span in enhancer.tiles.plan(autoencoder, pixels).columns[1:]]
    cuts = [start * autoencoder.factor - 1 for start in tile_starts]
    seam = float(differences[cuts].mean() / differences.mean()) if cuts and options.computed_tiles is None else None
    results = {
        "width": options.width,
        "height": options.height,
        "tile": options.tile,
        "tiles": stats.n_tiles,
        "computed_tiles": options.computed_tiles,
        "seconds": seconds,
        "megapixels_per_second": options.width * options.height / 1e6 / seconds,
        "peak_bytes_above_loaded": memory,
        "seam": seam,
        "dtype": str(autoencoder.dtype),
        "threads": options.threads,
    }
    print(json.dumps(results, indent=2))
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
