"""How often the degradation of a photo is recognised: photos degraded blindly, and what `deepot init` finds in them.

    python benchmarks/eval_degradation_estimates.py PHOTOS/kodak PHOTOS/natural PHOTOS/free --half report

Every photo is degraded `--draws` times; a generator seeded from its name and `--seed` draws the kind (one of six, or
none) and the strength: noise of σ 5 to 60 (white, or with neighbouring pixels correlated by a Gaussian of 0.7 to 1.5
pixels: σ 6 to 40), JPEG of quality 10 to 80, blur of σ 1 to 4, downscaling by 2, 3 or 4 and enlarging again. The
estimator gets the samples, and with `--saved-as jpeg` also the tables of the file. A strength is right within 20 %: of
σ, of the factor, and for JPEG of its quality and of 100 − quality, whichever is less. Thresholds were chosen on the
1st, 3rd, … photo of each folder (`--half tuning`) and are tested on the others (`--half report`).
"""

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks._photo_sets import select_half
from benchmarks._results import make_parser, save_results
from deepot.forensics import DegradationKind, JpegCoding, estimate_degradation
from deepot.photo import Pixels
from deepot.restoration import load_degradation, rng_for

TOLERANCE = 0.2
JPEG_QUALITY = 92  # of the files with `--saved-as jpeg`, with Pillow's default subsampling of the colours, 4:2:0
SIGMAS, CORRELATED_SIGMAS, BLURS = (5.0, 60.0), (6.0, 40.0), (1.0, 4.0)
CORRELATION_PIXELS = (0.7, 1.5)
QUALITIES, FACTORS = (10, 80), (2, 4)

Degraded = tuple[Image.Image, float]


def log_uniform(rng: np.random.Generator, span: tuple[float, float]) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(*np.log(span))))


def add_noise(image: Image.Image, rng: np.random.Generator) -> Degraded:
    """Add white noise."""
    sigma = log_uniform(rng, SIGMAS)
    return load_degradation(f"noise:sigma={sigma}")(image, rng), sigma


def add_correlated_noise(image: Image.Image, rng: np.random.Generator) -> Degraded:
    """Add noise whose neighbouring pixels are correlated, independently in each channel."""
    sigma, width = log_uniform(rng, CORRELATED_SIGMAS), rng.uniform(*CORRELATION_PIXELS)
    clean = np.asarray(image, np.float64)
    noise = gaussian_filter(rng.standard_normal(clean.shape), (width, width, 0)[: clean.ndim])
    noisy = np.rint(clean + noise * (sigma / noise.std())).clip(0, 255)
    return Image.fromarray(noisy.astype(np.uint8)), sigma


def compress(image: Image.Image, rng: np.random.Generator) -> Degraded:
    """Compress to JPEG."""
    quality = int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))
    return load_degradation(f"jpeg:quality={quality}")(image, rng), quality


def blur(image: Image.Image, rng: np.random.Generator) -> Degraded:
    """Blur."""
    sigma = log_uniform(rng, BLURS)
    return load_degradation(f"blur:sigma={sigma}")(image, rng), sigma


def downscale(image: Image.Image, rng: np.random.Generator) -> Degraded:
    """Downscale, and enlarge bicubically again."""
    factor = int(rng.integers(FACTORS[0], FACTORS[1] + 1))
    small = load_degradation(f"downscale:factor={factor}")(image, rng)
    return small.resize((small.width * factor, small.height * factor), Image.Resampling.BICUBIC), factor


DEGRADE: dict[DegradationKind, Callable[[Image.Image, np.random.Generator], Degraded]] = {
    DegradationKind.NOISE: add_noise,
    DegradationKind.CORRELATED_NOISE: add_correlated_noise,
    DegradationKind.JPEG: compress,
    DegradationKind.BLUR: blur,
    DegradationKind.DOWNSCALE: downscale,
    DegradationKind.NONE: lambda image, _: (image, 0.0),
}


def is_strength_right(kind: DegradationKind, found: float | None, strength: float) -> bool:
    """Return whether a strength is right within the tolerance."""
    if kind is DegradationKind.NONE:
        return True
    scale = min(strength, 100 - strength) if kind is DegradationKind.JPEG else strength
    return found is not None and abs(found - strength) <= TOLERANCE * scale


def save_as_jpeg(image: Image.Image) -> tuple[Image.Image, JpegCoding]:
    """Return an image as a JPEG file has it, and the coding of the file."""
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=JPEG_QUALITY)
        saved = Image.open(io.BytesIO(file.getvalue()))
        saved.load()
    tables = [list(table) for table in getattr(saved, "quantization", {}).values()]
    return saved, JpegCoding(tables, is_chroma_subsampled=image.mode == "RGB")


def evaluate_photo(path: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    """Degrade one photo `--draws` times, and return a row for each time."""
    with Image.open(path) as file:
        clean = file.convert("L" if options.grey else "RGB")
    rows: list[dict[str, object]] = []
    for draw in range(options.draws):
        rng = rng_for(f"{options.seed} {draw} {path.name}".encode())
        kind = list(DEGRADE)[rng.integers(len(DEGRADE))]
        degraded, strength = DEGRADE[kind](clean, rng)
        coding = None
        if options.saved_as == "jpeg":
            degraded, coding = save_as_jpeg(degraded)
        found = estimate_degradation(Pixels.from_image(degraded), coding)
        right = found.kind is kind
        rows.append(
            {
                "photo": path.name,
                "kind": kind.value,
                "strength": strength,
                "found_kind": found.kind.value,
                "found_strength": found.strength,
                "right_kind": right,
                "right": right and is_strength_right(kind, found.strength, strength),
            }
        )
    return rows


def print_shares(rows: Sequence[dict[str, object]]) -> None:
    """Print how many photos of each kind were recognised, and what the others were taken for."""
    print(f"{'kind':18}{'photos':>7}{'kind right':>12}{'and strength':>14}  taken for")
    for kind in (*(each.value for each in DEGRADE), "all"):
        own = [row for row in rows if kind in ("all", row["kind"])]
        if not own:
            continue
        shares = [sum(bool(row[key]) for row in own) / len(own) for key in ("right_kind", "right")]
        wrong = [str(row["found_kind"]) for row in own if not row["right_kind"]]
        others = ", ".join(f"{wrong.count(name)} {name}" for name in sorted(set(wrong))) if kind != "all" else ""
        print(f"{kind:18}{len(own):7}{shares[0]:12.1%}{shares[1]:14.1%}  {others}")


def main() -> None:
    """Degrade the photos of some folders and print the shares."""
    parser = make_parser(__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="PHOTOS", help="folders of undegraded photos")
    parser.add_argument("--half", choices=("all", "tuning", "report"), default="all")
    parser.add_argument("--every", type=int, default=1, help="use only every N-th photo of that half")
    parser.add_argument("--draws", type=int, default=1, help="how often each photo is degraded")
    parser.add_argument("--grey", action="store_true", help="make the photos grey first")
    parser.add_argument("--saved-as", choices=("png", "jpeg"), default="png", help="file format of the degraded photos")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    paths = [
        path
        for folder in options.folders
        for path in select_half(sorted(folder.iterdir()), options.half)[:: options.every]
    ]
    rows = [row for path in paths for row in evaluate_photo(path, options)]
    print_shares(rows)
    save_results(options.json, options, {"rows": rows})


if __name__ == "__main__":
    main()
