"""The distortion–perception curve of autoencoders: PSNR and Fréchet distances over α, for several degradations.

    python benchmarks/eval_distortion_perception.py --autoencoder embedded --autoencoder taef2:codec \
        --clean PHOTOS/kodak --natural PHOTOS/natural --history noise:sigma=50 ffdnet:denoiser \
        --history jpeg:quality=10 identity --history downscale:factor=4 resize:factor=4 \
        --features vgg_features:features --allow-code --json FILE --plot FILE

Each test photo is degraded and restored to x*. A paired map is fitted on `--limit` natural photos with the same
history, for each of the `--methods`, e.g. `auto:3 plain:5:notone` (the default and the published method). The result
is rounded to 8 bits for every α. The Fréchet distances are between the features of all positions of all photos, over
the variance of the clean photos' features; with few photos they are too large, for all autoencoders alike. The last
column is the pattern of the decoder in flat areas (`flat_area_repetition`). `--crop` measures the centre of the test
photos only, which is faster, and `--natural-crop` calibrates on the centre of the others. With `--companion` the map is
fitted with the restorer's input as companion, so that α from 1 to 2 mixes x* with it.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks._photo_sets import PhotoSetScores, center_crop, read_photo, select_half
from benchmarks._results import make_parser
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.evaluation import PhotoVariants, SweepPoint, compute_variants, flat_area_repetition
from deepot.inference import TileOptions, TransportMode, degrade_photo, fit_images
from deepot.photo import Pixels
from deepot.restoration import Degradation, Restorer, load_degradation, load_restorer, rng_for
from deepot.spec import call_factory
from deepot.transport import TransportMap
from pipeline.sources import find_images, sample_by_hash


@dataclass(frozen=True)
class CurvePoint:
    """One α of one autoencoder after one history.

    Attributes:
        autoencoder: its spec and the method; empty for x* itself.
        degradation: what happened to the photos.
        restorer: what repaired them.
        alpha: α.
        psnr: dB, mean over photos.
        ssim: mean over photos.
        frechet: distance of each feature map to that of the clean photos, relative.
        repetition: mean of `flat_area_repetition` over all flat windows; None without any.
    """

    autoencoder: str
    degradation: str
    restorer: str
    alpha: float
    psnr: float
    ssim: float
    frechet: tuple[float, ...]
    repetition: float | None


@dataclass(frozen=True)
class Method:
    """An output mode with the patch size of its map, and whether a tone curve is fitted.

    Written `mode:patch_size`, or `mode:patch_size:notone`. The published method is `plain:5:notone`.
    """

    mode: TransportMode
    patch_size: int
    tone: bool

    def __str__(self) -> str:
        return f"{self.mode}:{self.patch_size}" + ("" if self.tone else ":notone")

    @classmethod
    def parse(cls, text: str) -> "Method":
        """Read a method from the command line."""
        mode, patch_size, *rest = text.split(":")
        if rest not in ([], ["notone"]):
            raise argparse.ArgumentTypeError(f"'{text}' is no method: write mode:patch_size or mode:patch_size:notone")
        return cls(TransportMode(mode), int(patch_size), not rest)


@dataclass(frozen=True)
class TestCase:
    """One degradation and restorer: the test photos before and after both, and the photos to calibrate on.

    Attributes:
        degradation: the degradation.
        restorer: the restorer.
        clean: the test photos before both.
        restored: the test photos after both.
        companions: the restorer's input in the size of its output; None without companions.
        natural: the photos to calibrate on.
    """

    degradation: str
    restorer: str
    clean: Sequence[Pixels]
    restored: Sequence[Pixels]
    companions: Sequence[Pixels | None]
    natural: Sequence[Path]


def make_test_case(
    options: argparse.Namespace, degradation: str, restorer: str, has_companion: bool = False
) -> TestCase:
    """Degrade and restore the test photos."""
    degrade, restore = load_degradation(degradation), load_restorer(restorer, allow_code=options.allow_code)
    clean, restored, companions = [], [], []
    for path in select_half(sorted(options.clean.iterdir()), options.half):
        photo = center_crop(read_photo(path), options.crop)
        clean.append(photo)
        result, companion = restore_degraded(photo, degrade, restore, path, has_companion)
        restored.append(result)
        companions.append(companion)
    chosen = sample_by_hash(find_images(str(options.natural), "natural photos"), options.limit)
    return TestCase(degradation, restorer, clean, restored, companions, [Path(entry.uri) for entry in chosen])


def restore_degraded(
    photo: Pixels, degrade: Degradation, restore: Restorer, path: Path, has_companion: bool
) -> tuple[Pixels, Pixels | None]:
    """Degrade and restore a photo; return the result and, if wanted, the restorer's input in its size."""
    degraded = degrade_photo(photo, degrade, rng_for(path.name.encode()))
    restored = restore(degraded)
    return restored, degraded.resize(restored.height, restored.width) if has_companion else None


def fit_paired_map(
    autoencoder: LoadedAutoencoder, case: TestCase, method: Method, options: argparse.Namespace
) -> TransportMap:
    """Fit the paired map of a test case, with the tone curve that the pairs allow if the method has one."""
    degrade, restore = load_degradation(case.degradation), load_restorer(case.restorer, allow_code=True)
    natural = [center_crop(read_photo(path), options.natural_crop) for path in case.natural]
    pairs_of_results = [
        restore_degraded(photo, degrade, restore, path, options.companion)
        for path, photo in zip(case.natural, natural, strict=True)
    ]
    companions = [companion.to_image() for _, companion in pairs_of_results if companion is not None]
    transport = fit_images(
        autoencoder,
        [restored.to_image() for restored, _ in pairs_of_results],
        [photo.to_image() for photo in natural],
        patch_size=method.patch_size,
        tone=method.tone,
        companions=companions or None,
    )
    if transport.tone is not None:
        print(f"{case.degradation}, {case.restorer}: tone curve {transport.tone.summary}")
    if transport.change is not None:
        print(f"{case.degradation}, {case.restorer}: gains {transport.change.gains_summary}", flush=True)
        if transport.change.companion is not None:
            print(f"{case.degradation}, {case.restorer}: companion of {transport.change.companion_summary}", flush=True)
    return transport


def compute_photo_variants(
    autoencoder: LoadedAutoencoder, transport: TransportMap, case: TestCase
) -> Iterator[PhotoVariants]:
    """Yield what the versions of each test photo at any α are composed of."""
    operator = transport.operator_on(autoencoder.device)
    for restored, clean, companion in zip(case.restored, case.clean, case.companions, strict=True):
        plan = TileOptions(max(clean.height, clean.width) + autoencoder.factor).plan(autoencoder, clean)
        tone, gains, weight = transport.tone, transport.gains, transport.companion_weight or 0.0
        yield compute_variants(autoencoder, operator, clean, restored, plan, tone, gains, companion, weight)


def measure_curve(
    case: TestCase,
    name: str,
    images: Mapping[float, Sequence[Tensor]],
    features: torch.nn.Module,
    clean: PhotoSetScores,
) -> list[CurvePoint]:
    """Measure and print a point for each α; `images` are the versions of all photos, (1, 3, H, W) in [0, 1]."""
    points = []
    for alpha, versions in images.items():
        scores = PhotoSetScores(features)
        repetition: list[float] = []
        for image, photo, original in zip(versions, case.restored, case.clean, strict=True):
            scores.add(image, original.to_rgb())
            repetition += flat_area_repetition(image, photo.to_rgb())
        distances = tuple(scores.frechet_distances(clean))
        mean_psnr, mean_ssim = (sum(values) / len(values) for values in (scores.psnr, scores.ssim))
        repeated = sum(repetition) / len(repetition) if repetition else None
        points.append(
            CurvePoint(name, case.degradation, case.restorer, alpha, mean_psnr, mean_ssim, distances, repeated)
        )
        columns = "".join(f"{distance:9.4f}" for distance in distances)
        flat = "        " if repeated is None else f"{repeated:+8.3f}"
        print(f"{case.degradation:20} {name or 'x*':34} {alpha:6.2f} {mean_psnr:7.2f} {mean_ssim:7.4f}{columns}{flat}",
              flush=True)  # fmt: skip
    return points


def measure_test_case(
    options: argparse.Namespace,
    case: TestCase,
    autoencoders: dict[str, LoadedAutoencoder],
    features: torch.nn.Module,
) -> list[CurvePoint]:
    """Measure x* and the curve of every autoencoder."""
    clean = PhotoSetScores(features)
    for original in case.clean:
        clean.add(original.to_rgb(), original.to_rgb())
    points = measure_curve(case, "", {1.0: [photo.to_rgb() for photo in case.restored]}, features, clean)
    alphas = [alpha for alpha in options.alphas if alpha != 1]
    for spec, autoencoder in autoencoders.items():
        for method in options.methods:
            variants = list(
                compute_photo_variants(autoencoder, fit_paired_map(autoencoder, case, method, options), case)
            )
            images = {
                alpha: [each.render(SweepPoint(method.mode.value, alpha)) for each in variants] for alpha in alphas
            }
            points += measure_curve(case, f"{spec} {method}", images, features, clean)
    return points


def plot_curves(points: Sequence[CurvePoint], depth: int, path: Path) -> None:
    """Plot the distance of one feature map over PSNR, a panel for each degradation and restorer."""
    histories = list(dict.fromkeys((point.degradation, point.restorer) for point in points))
    figure = Figure(figsize=(5 * len(histories), 4), layout="constrained")
    for axes, history in zip(figure.subplots(1, len(histories), squeeze=False)[0], histories, strict=True):
        here = [point for point in points if (point.degradation, point.restorer) == history]
        for spec in dict.fromkeys(point.autoencoder for point in here):
            curve = [point for point in here if point.autoencoder == spec]
            axes.plot(
                [point.psnr for point in curve],
                [point.frechet[depth - 1] for point in curve],
                marker="." if spec else "*",
                markersize=6 if spec else 12,
                label=spec or "x*",
            )
        axes.set(
            title=" → ".join(history), xlabel="PSNR in dB", ylabel=f"Fréchet distance, map {depth}", ylim=(0, None)
        )
        axes.legend()
    figure.savefig(path, dpi=100)


def add_test_case_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of autoencoders, histories, photos and the feature network."""
    parser.add_argument("--autoencoder", action="append", required=True, help="may be given more than once")
    parser.add_argument(
        "--history",
        nargs=2,
        action="append",
        required=True,
        metavar=("DEGRADATION", "RESTORER"),
        help="what happened to the test photos; may be given more than once",
    )
    parser.add_argument("--clean", type=Path, required=True, help="folder of test photos")
    parser.add_argument("--half", choices=("all", "tuning", "report"), default="all", help="of the test photos")
    parser.add_argument("--natural", type=Path, required=True, help="folder of photos to calibrate on")
    parser.add_argument("--limit", type=int, default=16, help="at most this many of these")
    parser.add_argument("--features", required=True, help="module:factory of a network that returns feature maps")


def main() -> None:
    """Measure the curves and write them."""
    parser = make_parser(__doc__)
    add_test_case_options(parser)
    parser.add_argument("--alphas", type=float, nargs="+", default=[1.0, 0.75, 0.5, 0.25, 0.0, -0.25, -0.5])
    parser.add_argument("--methods", type=Method.parse, nargs="+", default=[Method(TransportMode.AUTO, 3, True)])
    parser.add_argument("--crop", type=int, default=0, help="side of the centre crop; default: the whole photo")
    parser.add_argument("--companion", action="store_true", help="mix x* with the restorer's input for α above 1")
    parser.add_argument("--natural-crop", type=int, default=0, help="the same of the photos to calibrate on")
    parser.add_argument("--depth", type=int, default=3, help="number of the feature map to plot")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    if not options.allow_code:
        parser.error(f"--features {options.features} runs code of that module: allow it with --allow-code")
    torch.set_num_threads(options.threads)
    features = call_factory(options.features)
    autoencoders = {spec: load_autoencoder(spec, allow_code=True) for spec in options.autoencoder}
    points: list[CurvePoint] = []
    for degradation, restorer in options.history:
        case = make_test_case(options, degradation, restorer, options.companion)
        points += measure_test_case(options, case, autoencoders, features)
    if options.json:
        content = {key: getattr(options, key) for key in ("limit", "crop", "half")}
        content |= {"methods": [str(method) for method in options.methods]}
        content |= {"torch": torch.__version__, "points": [asdict(point) for point in points]}
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    if options.plot:
        plot_curves(points, options.depth, options.plot)


if __name__ == "__main__":
    main()
