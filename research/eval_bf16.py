"""What bfloat16 changes: photos through the whole transport in float32 and in bfloat16, or in another dtype.

    python research/eval_bf16.py PHOTOS --autoencoder embedded --json FILE
    python research/eval_bf16.py PHOTOS --dtype exact

The centres of photos are blurred (σ = 1). A map is fitted from the blurred photos to the originals and applied to the
blurred ones, all of it in either dtype. Differences between the two are on the 0–255 scale; PSNR is to the originals.
"""

from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks._results import make_parser, save_results
from deepot.autoencoder import load_autoencoder
from deepot.evaluation import psnr
from deepot.inference import Enhancer, TransportMode, fit_images

Stack = NDArray[np.float64]
"""Images (n, H, W, 3), 0 to 255."""


def read_centers(folder: Path, count: int, side: int) -> list[Image.Image]:
    """Return the centre squares of photos."""
    images = []
    for path in sorted(path for path in folder.iterdir() if path.is_file())[:count]:
        with Image.open(path) as image:
            left, top = (image.width - side) // 2, (image.height - side) // 2
            images.append(image.convert("RGB").crop((left, top, left + side, top + side)))
    return images


def to_stack(images: list[Image.Image]) -> Stack:
    """Stack the samples of images."""
    return np.stack([np.asarray(image, dtype=np.float64) for image in images])


def enhance(spec: str, dtype: str, mode: TransportMode, clean: list[Image.Image], blurred: list[Image.Image]) -> Stack:
    """Return the blurred photos after the transport."""
    autoencoder = load_autoencoder(spec, dtype=dtype, allow_code=True)
    enhancer = Enhancer(autoencoder, fit_images(autoencoder, blurred, clean), mode=mode)
    return to_stack([enhancer(image) for image in blurred])


def mean_psnr(images: Stack, clean: Stack) -> float:
    """Return the mean over the photos, in dB."""
    pairs = (torch.from_numpy(stack / 255).permute(0, 3, 1, 2) for stack in (images, clean))
    return fmean(psnr(image[None], other[None]) for image, other in zip(*pairs, strict=True))


def rms(difference: Stack) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.square(difference).mean()))


def main() -> None:
    """Compare both dtypes in detail and residual mode."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--autoencoder", action="append", help="default: embedded; may be given more than once")
    parser.add_argument("--dtype", default="bfloat16", help="compared with float32")
    parser.add_argument("--count", type=int, default=8, help="how many photos")
    parser.add_argument("--side", type=int, default=256, help="of the centre crop, in pixels")
    options = parser.parse_args()
    clean = read_centers(options.photos, options.count, options.side)
    blurred = [image.filter(ImageFilter.GaussianBlur(1)) for image in clean]
    results = {}
    for spec in options.autoencoder or ["embedded"]:
        for mode in (TransportMode.DETAIL, TransportMode.RESIDUAL):
            precise = enhance(spec, "float32", mode, clean, blurred)
            rounded = enhance(spec, options.dtype, mode, clean, blurred)
            row = {
                "rms": rms(rounded - precise),
                "max": float(np.abs(rounded - precise).max()),
                "change": rms(precise - to_stack(blurred)),
                "psnr_float32": mean_psnr(precise, to_stack(clean)),
                f"psnr_{options.dtype}": mean_psnr(rounded, to_stack(clean)),
            }
            results[f"{spec} {mode}"] = row
            print(
                f"{spec}, {mode}: {options.dtype} differs from float32 by {row['rms']:.3f} RMS, {row['max']:.0f} at "
                f"most, where the transport changes {row['change']:.1f} RMS; "
                f"PSNR {row['psnr_float32']:.2f} and {row[f'psnr_{options.dtype}']:.2f} dB"
            )
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
