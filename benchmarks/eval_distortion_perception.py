"""The distortion–perception curve of autoencoders: PSNR and Fréchet distances over α, for several kinds of damage.

    python benchmarks/curve.py --vae embedded --vae taef2:codec --clean PHOTOS/kodak --natural PHOTOS/natural \
        --way noise:sigma=50 ffdnet:denoiser --way jpeg:quality=10 identity --way downscale:factor=4 resize:factor=4 \
        --features vgg_features:features --allow-code --json FILE --plot FILE

Each test photo is degraded and restored to x*. The map is fitted content-matched on `--limit` natural photos. The
result, in detail or residual mode, is rounded to 8 bits for every α. The Fréchet distances are between the features of
all positions of all photos, over the variance of the clean photos' features; few photos make them too large, for every
autoencoder alike. `--crop` cuts the middle out of the test photos, to be quick.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from quality import Side, load
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.evaluation import frechet_distance
from deepot.inference import TileOptions, TransportMode, degrade_photo, encode_tiled, filter_difference, paired_moments
from deepot.photo import Pixels
from deepot.restoration import load_degradation, load_restorer, rng_for
from deepot.spec import call_factory
from deepot.transport import CalibrationKind, TransportMap, fit_map
from pipeline.sources import find_images, sample_by_hash


@dataclass(frozen=True)
class Point:
    """One α of one autoencoder under one kind of damage.

    Attributes:
        vae: name of the autoencoder; empty for x* itself.
        degrade: the damage.
        restorer: what mended it.
        alpha: α.
        psnr: dB, mean over photos.
        ssim: mean over photos.
        frechet: distance of each feature map to the clean photos', relative.
    """

    vae: str
    degrade: str
    restorer: str
    alpha: float
    psnr: float
    ssim: float
    frechet: tuple[float, ...]


@dataclass(frozen=True)
class Trial:
    """One kind of damage: the test photos before and after it, and the natural ones to calibrate on."""

    degrade: str
    restorer: str
    clean: Sequence[Pixels]
    restored: Sequence[Pixels]
    natural: Sequence[Path]


def trial(options: argparse.Namespace, degrade: str, restorer: str) -> Trial:
    """Degrade and restore the test photos."""
    damage, mend = load_degradation(degrade), load_restorer(restorer, allow_code=options.allow_code)
    clean, restored = [], []
    for path in half(sorted(options.clean.iterdir()), options.half):
        photo = middle(load(str(path)), options.crop)
        clean.append(photo)
        restored.append(mend(degrade_photo(photo, damage, rng_for(path.name.encode()))))
    chosen = sample_by_hash(find_images(str(options.natural), "natural photos"), options.limit)
    return Trial(degrade, restorer, clean, restored, [Path(entry.uri) for entry in chosen])


def half(paths: Sequence[Path], which: str) -> Sequence[Path]:
    """All of the test photos, or every other one: the first, third … for tuning, the second, fourth … to report."""
    return {"all": paths, "tuning": paths[::2], "report": paths[1::2]}[which]


def middle(photo: Pixels, crop: int) -> Pixels:
    """The middle of a photo: a square of `crop` pixels, or with 0 all of it up to multiples of 4."""
    height, width = (min(side, crop) if crop else side // 4 * 4 for side in (photo.height, photo.width))
    top, left = (photo.height - height) // 2, (photo.width - width) // 2
    return Pixels(photo.samples[top : top + height, left : left + width].copy())


def calibrate(codec: LoadedAutoencoder, given: Trial, patch_size: int, allow_code: bool) -> TransportMap:
    """The content-matched map of a trial."""
    damage, mend = load_degradation(given.degrade), load_restorer(given.restorer, allow_code=allow_code)
    sides = [
        paired_moments(codec, middle(load(str(path)), 0), damage, mend, rng_for(path.name.encode()), patch_size)
        for path in given.natural
    ]
    source, reference = zip(*sides, strict=True)
    return fit_map(
        source,
        reference,
        autoencoder=codec.name,
        autoencoder_sha256=codec.sha256,
        patch_size=patch_size,
        calibration=CalibrationKind.PAIRED,
    )


def changes(
    codec: LoadedAutoencoder, operator: Callable[[Tensor], Tensor], photos: Sequence[Pixels], mode: TransportMode
) -> Iterator[Tensor]:
    """What α = 0 adds to each photo, (1, 3, H, W)."""
    for photo in photos:
        plan = TileOptions(max(photo.height, photo.width) + codec.factor).plan(codec, photo)
        latents = encode_tiled(codec, photo, plan)
        with torch.inference_mode():
            added = filter_difference(codec.decode(operator(latents)) - codec.decode(latents), mode, codec.factor)
        yield added[:, :, : photo.height, : photo.width].cpu()


def curve(
    given: Trial, vae: str, shifts: Sequence[Tensor], alphas: Sequence[float], features: torch.nn.Module, truth: Side
) -> list[Point]:
    """A point for each α."""
    points = []
    for alpha in alphas:
        side = Side(features)
        for photo, original, shift in zip(given.restored, given.clean, shifts, strict=True):
            moved = Pixels(photo.samples.copy())
            moved.add_rgb_delta(0, (1 - alpha) * shift)
            side.add(moved.to_rgb(), original.to_rgb())
        distances = tuple(frechet_distance(mine, clean) for mine, clean in zip(side.maps, truth.maps, strict=True))
        mean_psnr, mean_ssim = (sum(values) / len(values) for values in (side.psnr, side.ssim))
        points.append(Point(vae, given.degrade, given.restorer, alpha, mean_psnr, mean_ssim, distances))
        shown = "".join(f"{distance:9.4f}" for distance in distances)
        print(f"{given.degrade:20} {vae or 'x*':24} {alpha:6.2f} {mean_psnr:7.2f} {mean_ssim:7.4f}{shown}", flush=True)
    return points


def plot(points: Sequence[Point], depth: int, path: Path) -> None:
    """Draw the chosen map's distance over PSNR, a panel for each kind of damage."""
    kinds = list(dict.fromkeys((point.degrade, point.restorer) for point in points))
    figure = Figure(figsize=(5 * len(kinds), 4), layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        here = [point for point in points if (point.degrade, point.restorer) == kind]
        for vae in dict.fromkeys(point.vae for point in here):
            mine = [point for point in here if point.vae == vae]
            axes.plot(
                [point.psnr for point in mine],
                [point.frechet[depth - 1] for point in mine],
                marker="*" if not vae else ".",
                markersize=12 if not vae else 6,
                label=vae or "x*",
            )
        axes.set(title=" → ".join(kind), xlabel="PSNR in dB", ylabel=f"Fréchet distance, map {depth}", ylim=(0, None))
        axes.legend()
    figure.savefig(path, dpi=100)


def add_trials(parser: argparse.ArgumentParser) -> None:
    """The flags of autoencoders, kinds of damage, photos and the network that judges."""
    parser.add_argument("--vae", action="append", required=True)
    parser.add_argument("--way", nargs=2, action="append", required=True, metavar=("DEGRADE", "RESTORER"))
    parser.add_argument("--clean", type=Path, required=True, help="test photos")
    parser.add_argument("--half", choices=("all", "tuning", "report"), default="all", help="of the test photos")
    parser.add_argument("--natural", type=Path, required=True, help="photos to calibrate on")
    parser.add_argument("--limit", type=int, default=16, help="at most so many of these")
    parser.add_argument("--features", required=True, help="module:factory of a network that gives a list of maps")


def main() -> None:
    """Measure the curves and write them down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_trials(parser)
    parser.add_argument("--alphas", type=float, nargs="+", default=[1.0, 0.75, 0.5, 0.25, 0.0, -0.25, -0.5])
    parser.add_argument("--patch-size", type=int, default=3)
    parser.add_argument(
        "--mode", choices=(TransportMode.DETAIL.value, TransportMode.RESIDUAL.value), default=TransportMode.DETAIL.value
    )
    parser.add_argument("--crop", type=int, default=0)
    parser.add_argument("--depth", type=int, default=3, help="the feature map that is drawn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    if not options.allow_code:
        parser.error(f"--features {options.features} runs code of that module: allow it with --allow-code")
    torch.set_num_threads(options.threads)
    features = call_factory(options.features)
    codecs = {name: load_autoencoder(name, allow_code=True) for name in options.vae}
    points: list[Point] = []
    for degrade, restorer in options.way:
        given = trial(options, degrade, restorer)
        truth = Side(features)
        for original in given.clean:
            truth.add(original.to_rgb(), original.to_rgb())
        still = [torch.zeros(1, 3, photo.height, photo.width) for photo in given.restored]
        points += curve(given, "", still, [1.0], features, truth)
        for name, codec in codecs.items():
            transport = calibrate(codec, given, options.patch_size, allow_code=True)
            shifts = list(
                changes(codec, transport.operator_on(codec.device), given.restored, TransportMode(options.mode))
            )
            points += curve(given, name, shifts, [a for a in options.alphas if a != 1], features, truth)
    if options.json:
        about = {key: getattr(options, key) for key in ("mode", "patch_size", "limit", "crop", "half")}
        record = about | {"torch": torch.__version__, "points": [asdict(point) for point in points]}
        options.json.write_text(json.dumps(record, indent=2) + "\n")
    if options.plot:
        plot(points, options.depth, options.plot)


if __name__ == "__main__":
    main()
