"""Measure how large the inputs of the embedded autoencoder's convolutions become, for `dtype="exact"`.

    python tools/embedded_autoencoder/measure_input_ranges.py --photos PHOTOS/natural --out deepot/embedded

The centre of every photo is encoded and decoded in float32, and so are noise, checks, stripes and constant colours, and
latents beyond those of photos. input_ranges.json gets, for each convolution, four times the largest magnitude, rounded
up to a power of two: larger inputs are clamped.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from deepot.autoencoder import load_autoencoder

_SIDE = 256
_HEADROOM = 4
_MAX_PHOTOS = 100


def iter_patterns() -> Iterator[Tensor]:
    """Yield images (1, 3, H, W) in [0, 1] of extreme contrast."""
    generator = np.random.default_rng(0)
    row, column = np.mgrid[:_SIDE, :_SIDE]
    patterns = [
        generator.random((_SIDE, _SIDE, 3)),
        generator.integers(0, 2, (_SIDE, _SIDE, 3)),
        generator.integers(0, 2, (_SIDE, _SIDE, 1)) + np.zeros(3),
        np.stack([column, row, row + column], axis=2) % 2,
        *(((row // side + column // side) % 2)[:, :, None] + np.zeros(3) for side in (1, 2, 4, 16)),
        *(np.full((_SIDE, _SIDE, 3), colour) for colour in ((0, 0, 0), (1, 1, 1), (1, 0, 1), (0, 1, 0))),
    ]
    for pattern in patterns:
        yield torch.from_numpy(pattern).float().permute(2, 0, 1)[None]


def iter_photos(folder: Path) -> Iterator[Tensor]:
    """Yield the centres (1, 3, H, W) of evenly spread photos of a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    for path in paths[:: max(1, len(paths) // _MAX_PHOTOS)]:
        with Image.open(path) as file:
            image = file.convert("RGB")
        width, height = (min(side, _SIDE) // 8 * 8 for side in image.size)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        centre = np.asarray(image.crop((left, top, left + width, top + height)))
        yield torch.from_numpy(centre / 255).float().permute(2, 0, 1)[None]


def measure(photos: Path) -> dict[str, float]:
    """Return the largest magnitude of the inputs of each convolution by its name."""
    autoencoder = load_autoencoder("embedded", device="cpu", dtype=torch.float32)
    network = autoencoder.network
    if not isinstance(network, nn.Module):
        raise TypeError("the embedded autoencoder is no module of PyTorch")
    largest: dict[str, float] = {}

    def record(name: str, inputs: tuple[Tensor, ...]) -> None:
        largest[name] = max(largest.get(name, 0.0), float(inputs[0].abs().max()))

    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_pre_hook(lambda _, inputs, name=name: record(name, inputs))
    generator = torch.Generator().manual_seed(0)
    for image in [*iter_patterns(), *iter_photos(photos)]:
        latents = autoencoder.encode(image)
        noise = torch.randn(latents.shape, generator=generator) * latents.std()
        for each in (latents, 1.5 * latents, latents + noise):
            autoencoder.decode(each)
    return largest


def main(arguments: Sequence[str]) -> None:
    """Measure with the photos that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the folder that input_ranges.json is written to")
    options = parser.parse_args(arguments)
    ranges = {name: 2 ** math.ceil(math.log2(_HEADROOM * value)) for name, value in measure(options.photos).items()}
    (options.out / "input_ranges.json").write_text(json.dumps(ranges, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
