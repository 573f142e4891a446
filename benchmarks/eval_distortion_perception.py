"""The distortion–perception curve of autoencoders: PSNR and Fréchet distances over α, for several degradations.

    python benchmarks/eval_distortion_perception.py --autoencoder embedded --autoencoder taef2:codec \
        --clean PHOTOS/kodak --natural PHOTOS/natural --history noise:sigma=50 ffdnet:denoiser \
        --history jpeg:quality=10 identity --history downscale:factor=4 resize:factor=4 \
        --features vgg_features:features --allow-code --json FILE --plot FILE

Each test photo is degraded and restored to x*. A paired map is fitted on `--limit` natural photos with the same
history. The result, in detail or residual mode, is rounded to 8 bits for every α. The Fréchet distances are between
the features of all positions of all photos, over the variance of the clean photos' features; with few photos they are
too large, for all autoencoders alike. `--crop` measures the centre of the test photos only, which is faster.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks._photo_sets import PhotoSetScores, center_crop, read_photo, select_half
from benchmarks._results import make_parser
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import TileOptions, TransportMode, degrade_photo, encode_tiled, filter_difference, paired_moments
from deepot.photo import Pixels
from deepot.restoration import load_degradation, load_restorer, rng_for
from deepot.spec import call_factory
from deepot.transport import CalibrationKind, TransportMap, fit_map
from pipeline.sources import find_images, sample_by_hash


@dataclass(frozen=True)
class CurvePoint:
    """One α of one autoencoder after one history.

    Attributes:
        autoencoder: its spec; empty for x* itself.
        degradation: what happened to the photos.
        restorer: what repaired them.
        alpha: α.
        psnr: dB, mean over photos.
        ssim: mean over photos.
        frechet: distance of each feature map to that of the clean photos, relative.
    """

    autoencoder: str
    degradation: str
    restorer: str
    alpha: float
    psnr: float
    ssim: float
    frechet: tuple[float, ...]


@dataclass(frozen=True)
class TestCase:
    """One degradation and restorer: the test photos before and after both, and the photos to calibrate on."""

    degradation: str
    restorer: str
    clean: Sequence[Pixels]
    restored: Sequence[Pixels]
    natural: Sequence[Path]


def make_test_case(options: argparse.Namespace, degradation: str, restorer: str) -> TestCase:
    """Degrade and restore the test photos."""
    degrade, restore = load_degradation(degradation), load_restorer(restorer, allow_code=options.allow_code)
    clean, restored = [], []
    for path in select_half(sorted(options.clean.iterdir()), options.half):
        photo = center_crop(read_photo(path), options.crop)
        clean.append(photo)
        restored.append(restore(degrade_photo(photo, degrade, rng_for(path.name.encode()))))
    chosen = sample_by_hash(find_images(str(options.natural), "natural photos"), options.limit)
    return TestCase(degradation, restorer, clean, restored, [Path(entry.uri) for entry in chosen])


def fit_paired_map(autoencoder: LoadedAutoencoder, case: TestCase, patch_size: int, allow_code: bool) -> TransportMap:
    """Fit the paired map of a test case."""
    degrade, restore = load_degradation(case.degradation), load_restorer(case.restorer, allow_code=allow_code)
    moments = [
        paired_moments(
            autoencoder, center_crop(read_photo(path), 0), degrade, restore, rng_for(path.name.encode()), patch_size
        )
        for path in case.natural
    ]
    source, reference = zip(*moments, strict=True)
    return fit_map(
        source,
        reference,
        autoencoder=autoencoder.name,
        autoencoder_sha256=autoencoder.sha256,
        patch_size=patch_size,
        calibration=CalibrationKind.PAIRED,
    )


def compute_deltas(
    autoencoder: LoadedAutoencoder,
    operator: Callable[[Tensor], Tensor],
    photos: Sequence[Pixels],
    mode: TransportMode,
) -> Iterator[Tensor]:
    """Yield what α = 0 adds to each photo, (1, 3, H, W)."""
    for photo in photos:
        plan = TileOptions(max(photo.height, photo.width) + autoencoder.factor).plan(autoencoder, photo)
        latents = encode_tiled(autoencoder, photo, plan)
        with torch.inference_mode():
            difference = autoencoder.decode(operator(latents)) - autoencoder.decode(latents)
            delta = filter_difference(difference, mode, autoencoder.factor)
        yield delta[:, :, : photo.height, : photo.width].cpu()


def measure_curve(
    case: TestCase,
    spec: str,
    deltas: Sequence[Tensor],
    alphas: Sequence[float],
    features: torch.nn.Module,
    clean: PhotoSetScores,
) -> list[CurvePoint]:
    """Measure and print a point for each α."""
    points = []
    for alpha in alphas:
        scores = PhotoSetScores(features)
        for photo, original, delta in zip(case.restored, case.clean, deltas, strict=True):
            enhanced = Pixels(photo.samples.copy())
            enhanced.add_rgb_delta(0, (1 - alpha) * delta)
            scores.add(enhanced.to_rgb(), original.to_rgb())
        distances = tuple(scores.frechet_distances(clean))
        mean_psnr, mean_ssim = (sum(values) / len(values) for values in (scores.psnr, scores.ssim))
        points.append(CurvePoint(spec, case.degradation, case.restorer, alpha, mean_psnr, mean_ssim, distances))
        columns = "".join(f"{distance:9.4f}" for distance in distances)
        print(f"{case.degradation:20} {spec or 'x*':24} {alpha:6.2f} {mean_psnr:7.2f} {mean_ssim:7.4f}{columns}",
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
    no_change = [torch.zeros(1, 3, photo.height, photo.width) for photo in case.restored]
    points = measure_curve(case, "", no_change, [1.0], features, clean)
    mode, alphas = TransportMode(options.mode), [alpha for alpha in options.alphas if alpha != 1]
    for spec, autoencoder in autoencoders.items():
        operator = fit_paired_map(autoencoder, case, options.patch_size, True).operator_on(autoencoder.device)
        deltas = list(compute_deltas(autoencoder, operator, case.restored, mode))
        points += measure_curve(case, spec, deltas, alphas, features, clean)
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
    modes = (TransportMode.DETAIL.value, TransportMode.RESIDUAL.value)
    parser.add_argument("--alphas", type=float, nargs="+", default=[1.0, 0.75, 0.5, 0.25, 0.0, -0.25, -0.5])
    parser.add_argument("--patch-size", type=int, default=3)
    parser.add_argument("--mode", choices=modes, default=TransportMode.DETAIL.value)
    parser.add_argument("--crop", type=int, default=0, help="side of the centre crop; default: the whole photo")
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
        case = make_test_case(options, degradation, restorer)
        points += measure_test_case(options, case, autoencoders, features)
    if options.json:
        content = {key: getattr(options, key) for key in ("mode", "patch_size", "limit", "crop", "half")}
        content |= {"torch": torch.__version__, "points": [asdict(point) for point in points]}
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    if options.plot:
        plot_curves(points, options.depth, options.plot)


if __name__ == "__main__":
    main()
