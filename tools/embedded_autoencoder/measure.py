"""Measure an autoencoder on photos: how well they come back, what its latents are like, how large and fast it is.

    python tools/measure_autoencoder.py --vae embedded --photos PHOTOS/kodak --dtype float32

Each photo is cropped (at the bottom and the right) to multiples of the factor, encoded and decoded as deepot does it.
The PSNR is that of the output clamped to [0, 1], not rounded to 8 bits, against the photo.
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
    """What was found.

    Attributes:
        photos: their number.
        device: where the autoencoder ran.
        dtype: in which it computed.
        threads: of torch, on a CPU.
        psnr_mean: dB, the mean over photos.
        psnr_min: dB, of the photo that comes back worst.
        psnr_max: dB, of the photo that comes back best.
        latents_mean: smallest and largest mean of a latent channel, over all positions of all photos.
        latents_std: smallest and largest standard deviation of a latent channel.
        parameters: numbers in the autoencoder.
        weights_bytes: size of the files with the weights, 0 where it is no folder.
        seconds_per_megapixel: of encoding and decoding; the first photo runs twice and counts once.
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


def round_trip(codec: LoadedAutoencoder, photo: Tensor) -> tuple[Tensor, Tensor, float]:
    """A photo (1, 3, H, W) in [0, 1] → its latents, what comes back clamped to [0, 1], and the seconds it took."""
    started = time.perf_counter()
    latents = codec.encode(photo)
    output = codec.decode(latents).clamp(0, 1).cpu()
    return latents.cpu(), output, time.perf_counter() - started


def cropped(path: Path, factor: int) -> Tensor:
    """A photo from a file: (1, 3, H, W) in [0, 1], H and W multiples of `factor`."""
    with Image.open(path) as file:
        pixels = Pixels.from_image(file)
    height, width = (side // factor * factor for side in (pixels.height, pixels.width))
    return pixels.to_rgb(slice(height), slice(width)).contiguous()


def measure(vae: str, photos: Path, dtype: str, device: str | None = None, *, allow_code: bool = False) -> Measurement:
    """Run the autoencoder `vae`, a folder or what else a job file may name, over every photo in the folder `photos`."""
    folder = Path(vae)
    name = str(folder.resolve()) if folder.is_dir() else vae
    codec = load_autoencoder(name, device=device, dtype=DTYPES[dtype], allow_code=allow_code)
    paths = sorted(file for file in photos.rglob("*") if file.is_file())
    if not paths:
        raise SystemExit(f"no photos in {photos}")
    round_trip(codec, cropped(paths[0], codec.factor))
    quality: dict[str, float] = {}
    latents: list[Tensor] = []
    seconds = pixels = 0.0
    for path in paths:
        photo = cropped(path, codec.factor)
        encoded, output, took = round_trip(codec, photo)
        quality[path.name] = psnr(output, photo)
        latents.append(encoded[0].flatten(1).double())
        seconds, pixels = seconds + took, pixels + photo.shape[2] * photo.shape[3]
    every = torch.cat(latents, dim=1)
    mean, std = every.mean(dim=1), every.std(dim=1)
    network = codec.network
    return Measurement(
        photos=len(paths),
        device=str(codec.device),
        dtype=dtype,
        threads=torch.get_num_threads(),
        psnr_mean=statistics.fmean(quality.values()),
        psnr_min=min(quality.values()),
        psnr_max=max(quality.values()),
        latents_mean=(float(mean.min()), float(mean.max())),
        latents_std=(float(std.min()), float(std.max())),
        parameters=sum(value.numel() for value in network.parameters()) if isinstance(network, nn.Module) else 0,
        weights_bytes=sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        seconds_per_megapixel=seconds / (pixels / 1e6),
        psnr=quality,
    )


def main(arguments: Sequence[str]) -> None:
    """Measure what the command line names; print the figures and write them to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", required=True, help="a diffusers folder, or as vae in a job file")
    parser.add_argument("--allow-code", action="store_true", help="let --vae name module:factory")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--json", type=Path, help="a file to write the figures to, photo by photo")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16", help="default: bfloat16")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    options = parser.parse_args(arguments)
    found = asdict(measure(options.vae, options.photos, options.dtype, options.device, allow_code=options.allow_code))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    del found["psnr"]
    for name, value in found.items():
        print(f"{name:22} {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
