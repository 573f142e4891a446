"""Measure an autoencoder on photos: PSNR of the round trip, statistics of latents, size and speed.

    python tools/embedded_autoencoder/measure.py --autoencoder embedded --photos PHOTOS/kodak --dtype float32

Each photo is cropped at the bottom and the right to multiples of the factor, then encoded and decoded as deepot does
it. The PSNR is that of the output, clamped to [0, 1] and not rounded to 8 bits, to the photo.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.evaluation import psnr
from deepot.photo import Pixels

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class Measurement:
    """The figures of one autoencoder.

    Attributes:
        photos: their number.
        device: where the autoencoder ran.
        dtype: its dtype.
        threads: of torch, on a CPU.
        psnr_mean: dB, mean over photos.
        psnr_min: dB, of the worst photo.
        psnr_max: dB, of the best photo.
        latents_mean: smallest and largest mean of a latent channel, over all positions of all photos.
        latents_std: smallest and largest standard deviation of a latent channel.
        parameters: number of parameters.
        weights_bytes: size of the weight files, 0 if it is not a folder.
        seconds_per_megapixel: of encoding and decoding, after a warm-up.
        psnr: dB, photo by photo.
    """

    photos: int
    device: str
    dtype: str
    threads: int
    psnr_mean: float
    psnr_min: float
    psnr_max: float
    latents_mean: tuple[float, float]
    latents_std: tuple[float, float]
    parameters: int
    weights_bytes: int
    seconds_per_megapixel: float
    psnr: dict[str, float]


def round_trip(autoencoder: LoadedAutoencoder, photo: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return the latents of a photo (1, 3, H, W) in [0, 1], its decoding clamped to [0, 1], and the seconds."""
    started = time.perf_counter()
    latents = autoencoder.encode(photo)
    output = autoencoder.decode(latents).clamp(0, 1).cpu()
    return latents.cpu(), output, time.perf_counter() - started


def read_cropped(path: Path, factor: int) -> Tensor:
    """Read a photo: (1, 3, H, W) in [0, 1], H and W multiples of `factor`."""
    with Image.open(path) as file:
        pixels = Pixels.from_image(file)
    height, width = (side // factor * factor for side in (pixels.height, pixels.width))
    return pixels.to_rgb(slice(height), slice(width)).contiguous()


def measure(spec: str, photos: Path, dtype: str, device: str | None = None, *, allow_code: bool = False) -> Measurement:
    """Measure an autoencoder, a folder or as in a job file, on all photos of a folder."""
    folder = Path(spec)
    name = str(folder.resolve()) if folder.is_dir() else spec
    autoencoder = load_autoencoder(name, device=device, dtype=DTYPES[dtype], allow_code=allow_code)
    paths = sorted(file for file in photos.rglob("*") if file.is_file())
    if not paths:
        raise SystemExit(f"no photos in {photos}: name a folder of photos with --photos")
    round_trip(autoencoder, read_cropped(paths[0], autoencoder.factor))
    psnrs: dict[str, float] = {}
    latents: list[Tensor] = []
    seconds = pixels = 0.0
    for path in paths:
        photo = read_cropped(path, autoencoder.factor)
        z, output, elapsed = round_trip(autoencoder, photo)
        psnrs[path.name] = psnr(output, photo)
        latents.append(z[0].flatten(1).double())
        seconds, pixels = seconds + elapsed, pixels + photo.shape[2] * photo.shape[3]
    channels = torch.cat(latents, dim=1)
    mean, std = channels.mean(dim=1), channels.std(dim=1)
    network = autoencoder.network
    return Measurement(
        photos=len(paths),
        device=str(autoencoder.device),
        dtype=dtype,
        threads=torch.get_num_threads(),
        psnr_mean=statistics.fmean(psnrs.values()),
        psnr_min=min(psnrs.values()),
        psnr_max=max(psnrs.values()),
        latents_mean=(float(mean.min()), float(mean.max())),
        latents_std=(float(std.min()), float(std.max())),
        parameters=sum(value.numel() for value in network.parameters()) if isinstance(network, nn.Module) else 0,
        weights_bytes=sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        seconds_per_megapixel=seconds / (pixels / 1e6),
        psnr=psnrs,
    )


def main(arguments: Sequence[str]) -> None:
    """Measure and print the figures, and write them to `--json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--autoencoder", required=True, help="a diffusers folder, or as in a job file")
    parser.add_argument("--allow-code", action="store_true", help="allow module:factory as --autoencoder")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--json", type=Path, help="write the figures here, with the PSNR of each photo")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16", help="default: bfloat16")
    parser.add_argument("--device", help="cpu or cuda (default: cuda if available)")
    options = parser.parse_args(arguments)
    figures = asdict(
        measure(options.autoencoder, options.photos, options.dtype, options.device, allow_code=options.allow_code)
    )
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    del figures["psnr"]
    for name, value in figures.items():
        print(f"{name:22} {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
