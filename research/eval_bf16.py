"""What bfloat16 changes: photos through the whole transport in float32 and in bfloat16.

    python benchmarks/rounding.py PHOTOS --vae embedded --json bench-output/rounding.json

The middles of photos are blurred (σ = 1); a map is fitted from the blurred to the photos themselves and applied to the
blurred, all of it in either dtype. Differences between the two are of 255; PSNR is that to the photos.
"""

import argparse
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from record import save

from deepot.autoencoder import load_autoencoder
from deepot.evaluation import psnr
from deepot.inference import Enhancer, TransportMode, fit_images

Stack = NDArray[np.float64]


def middles(folder: Path, count: int, side: int) -> list[Image.Image]:
    """Square middles of photos."""
    found = []
    for path in sorted(path for path in folder.iterdir() if path.is_file())[:count]:
        with Image.open(path) as image:
            left, top = (image.width - side) // 2, (image.height - side) // 2
            found.append(image.convert("RGB").crop((left, top, left + side, top + side)))
    return found


def samples(images: list[Image.Image]) -> Stack:
    """Their pixels (n, H, W, 3), of 255."""
    return np.stack([np.asarray(image, dtype=np.float64) for image in images])


def moved(
    vae: str, dtype: torch.dtype, mode: TransportMode, clean: list[Image.Image], blurred: list[Image.Image]
) -> Stack:
    """The blurred photos after the transport."""
    codec = load_autoencoder(vae, dtype=dtype, allow_code=True)
    enhancer = Enhancer(codec, fit_images(codec, blurred, clean), mode=mode)
    return samples([enhancer(image) for image in blurred])


def mean_psnr(images: Stack, clean: Stack) -> float:
    """Mean over the photos, in dB."""
    pairs = (torch.from_numpy(stack / 255).permute(0, 3, 1, 2) for stack in (images, clean))
    return fmean(psnr(image[None], other[None]) for image, other in zip(*pairs, strict=True))


def rms(difference: Stack) -> float:
    """Root mean square."""
    return float(np.sqrt(np.square(difference).mean()))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--vae", action="append", help="embedded if none is given; module:factory is allowed")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    clean = middles(options.photos, options.count, options.side)
    blurred = [image.filter(ImageFilter.GaussianBlur(1)) for image in clean]
    results = {}
    for vae in options.vae or ["embedded"]:
        for mode in (TransportMode.DETAIL, TransportMode.RESIDUAL):
            whole, rounded = (moved(vae, dtype, mode, clean, blurred) for dtype in (torch.float32, torch.bfloat16))
            found = {
                "rms": rms(rounded - whole),
                "most": float(np.abs(rounded - whole).max()),
                "change": rms(whole - samples(blurred)),
                "psnr_float32": mean_psnr(whole, samples(clean)),
                "psnr_bfloat16": mean_psnr(rounded, samples(clean)),
            }
            results[f"{vae} {mode}"] = found
            print(
                f"{vae}, {mode}: bfloat16 differs from float32 by {found['rms']:.2f} (root mean square; "
                f"{found['most']:.0f} at most), where the transport changes {found['change']:.1f}; "
                f"PSNR {found['psnr_float32']:.2f} and {found['psnr_bfloat16']:.2f} dB"
            )
    save(options.json, options, results)


if __name__ == "__main__":
    main()
