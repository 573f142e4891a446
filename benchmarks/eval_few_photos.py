"""A dozen photos to calibrate on: ways of fitting, over random draws of photos.

    python benchmarks/few_shot.py --vae embedded --natural PHOTOS/natural --clean PHOTOS/kodak --half tuning \
        --degrade noise:sigma=50 --restorer ffdnet:denoiser --features vgg_features:features --allow-code \
        --cache CACHE --json FILE

For every draw (`few_shot_draws.json`: 20 times 16 photos, and 16 others as the restored side of unpaired sets) every
way fits a map; the map moves the restored test photos, α = 0, rounded to 8 bits. Test photos are every
other one of the sorted ones: the first, third … with `--half tuning`, the second, fourth … with `--half report`; their
middle `--crop` squares. Moments of calibration photos are kept in `--cache`. A row is a way: medians and worst cases
over draws of the PSNR lost, and of the change of each map's Fréchet distance to the clean photos, against x*.
"""

import argparse
import hashlib
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from curve import half, middle
from quality import Side, load
from record import save
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.evaluation import frechet_distance
from deepot.inference import TileOptions, TransportMode, degrade_photo, encode_tiled, filter_difference, photo_moments
from deepot.photo import Pixels
from deepot.restoration import load_degradation, load_restorer, rng_for
from deepot.spec import call_factory
from deepot.transport import Gaussian, Moments, PatchTransport, estimate_uncertainty, merge_in_order, transport_matrix

DRAWS = Path(__file__).with_name("few_shot_draws.json")
Blocks = Sequence[Moments]
Affine = tuple[Tensor, Tensor]
"""A map of patches x → A x + b."""


@dataclass(frozen=True)
class Draw:
    """Moments of the photos of a draw, one a photo.

    Attributes:
        natural: of the photos.
        restored: of the same photos, degraded and restored.
        again: of these, degraded and restored once more.
        others: of other photos, degraded and restored.
        patch_size: p.
    """

    natural: Blocks
    restored: Blocks
    again: Blocks
    others: Blocks
    patch_size: int


def published(source: Gaussian, reference: Gaussian) -> Affine:
    """The map without regularisation."""
    matrix = transport_matrix(source.covariance, reference.covariance)
    return matrix, reference.mean - matrix @ source.mean


def sides(source: Blocks, reference: Blocks) -> tuple[Gaussian, Gaussian]:
    """The Gaussians of both sides."""
    return merge_in_order(source).gaussian(), merge_in_order(reference).gaussian()


def mean_kept(source: Gaussian, reference: Gaussian) -> Affine:
    """The map without its mean shift."""
    matrix, _ = published(source, reference)
    return matrix, source.mean - matrix @ source.mean


def part_of_the_way(source: Gaussian, reference: Gaussian, share: float) -> Affine:
    """A share of the map, the rest identity."""
    matrix, bias = published(source, reference)
    return torch.lerp(torch.eye(len(bias), dtype=matrix.dtype), matrix, share), share * bias


def leading_kept(source: Gaussian, reference: Gaussian, number: int) -> Affine:
    """The map in all but the leading directions of both sets' common covariance."""
    _, basis = torch.linalg.eigh((source.covariance + reference.covariance) / 2)
    rest, leading = basis[:, :-number], basis[:, -number:]
    within = transport_matrix(rest.mT @ source.covariance @ rest, rest.mT @ reference.covariance @ rest)
    matrix = rest @ within @ rest.mT + leading @ leading.mT
    target = source.mean + rest @ (rest.mT @ (reference.mean - source.mean))
    return matrix, target - matrix @ source.mean


def doubted(draw: Draw, doubt: float) -> Affine:
    """The share of the map that deepot takes of unpaired sets, with more or less doubt."""
    share = estimate_uncertainty(draw.others, draw.natural, draw.patch_size).shrinkage_factor(doubt)
    return part_of_the_way(*sides(draw.others, draw.natural), share)


def drawn_together(draw: Draw) -> Affine:
    """Both Gaussians moved towards their average, by 100 / (100 + n)."""
    source, reference = sides(draw.others, draw.natural)
    weight = 100 / (100 + len(draw.natural))
    both = Gaussian((source.mean + reference.mean) / 2, (source.covariance + reference.covariance) / 2)
    moved = (
        Gaussian(*(torch.lerp(mine, ours, weight) for mine, ours in zip(side, both, strict=True)))
        for side in (source, reference)
    )
    return published(*moved)


WAYS: dict[str, Callable[[Draw], Affine]] = {
    "content-matched": lambda draw: published(*sides(draw.restored, draw.natural)),
    "self-calibration": lambda draw: published(*sides(draw.again, draw.restored)),
    "unpaired: published": lambda draw: published(*sides(draw.others, draw.natural)),
    "unpaired: drawn together": drawn_together,
    "unpaired: mean kept": lambda draw: mean_kept(*sides(draw.others, draw.natural)),
    "unpaired: a quarter of the way": lambda draw: part_of_the_way(*sides(draw.others, draw.natural), 0.25),
    "unpaired: 32 leading directions kept": lambda draw: leading_kept(*sides(draw.others, draw.natural), 32),
    "unpaired: half of the way": lambda draw: part_of_the_way(*sides(draw.others, draw.natural), 0.5),
    "unpaired: doubt 0.5": lambda draw: doubted(draw, 0.5),
    "unpaired: doubt 1": lambda draw: doubted(draw, 1.0),
    "unpaired: doubt 1.5": lambda draw: doubted(draw, 1.5),
}


class Calibrator:
    """Moments of calibration photos, kept in a folder."""

    def __init__(self, codec: LoadedAutoencoder, options: argparse.Namespace) -> None:
        self._codec, self._patch_size = codec, options.patch_size
        self._damage = load_degradation(options.degrade)
        self._mend = load_restorer(options.restorer, allow_code=options.allow_code)
        settled = [codec.sha256, str(codec.dtype), options.degrade, self._mend.sha256, str(options.natural.absolute())]
        self._cache = options.cache / hashlib.sha256(json.dumps(settled).encode()).hexdigest()[:16]
        self._cache.mkdir(parents=True, exist_ok=True)

    def of(self, path: Path, rounds: int) -> Moments:
        """Moments of a photo after so many rounds of damage and repair."""
        kept = self._cache / f"{path.stem}-{rounds}-{self._patch_size}.safetensors"
        if not kept.exists():
            photo, generator = middle(load(str(path)), 0), rng_for(path.name.encode())
            for _ in range(rounds):
                photo = self._mend(degrade_photo(photo, self._damage, generator))
            kept.write_bytes(photo_moments(self._codec, photo, self._patch_size).to_bytes())
        return Moments.from_bytes(kept.read_bytes())

    def draw(self, folder: Path, names: dict[str, list[str]]) -> Draw:
        """The moments of a draw."""
        paths = {side: [folder / name for name in names[side]] for side in ("photos", "others")}
        same, others = paths["photos"], paths["others"]
        natural, restored, again = ([self.of(path, number) for path in same] for number in range(3))
        return Draw(natural, restored, again, [self.of(path, 1) for path in others], self._patch_size)


@dataclass(frozen=True)
class Test:
    """The test photos before any transport, with latents z of the restored ones and D(z)."""

    clean: Sequence[Pixels]
    restored: Sequence[Pixels]
    latents: Sequence[Tensor]
    decoded: Sequence[Tensor]
    truth: Side
    before: Side


@torch.inference_mode()
def test_photos(options: argparse.Namespace, codec: LoadedAutoencoder, features: torch.nn.Module) -> Test:
    """One half of the test photos, degraded and restored."""
    damage, mend = load_degradation(options.degrade), load_restorer(options.restorer, allow_code=options.allow_code)
    clean, restored = [], []
    for path in half(sorted(options.clean.iterdir()), options.half):
        photo = middle(load(str(path)), options.crop)
        clean.append(photo)
        restored.append(mend(degrade_photo(photo, damage, rng_for(path.name.encode()))))
    truth, before = Side(features), Side(features)
    for photo, original in zip(restored, clean, strict=True):
        truth.add(original.to_rgb(), original.to_rgb())
        before.add(photo.to_rgb(), original.to_rgb())
    latents = [encode_tiled(codec, photo, TileOptions(options.crop).plan(codec, photo)) for photo in restored]
    return Test(clean, restored, latents, [codec.decode(z) for z in latents], truth, before)


@torch.inference_mode()
def measured(
    codec: LoadedAutoencoder, operator: PatchTransport, test: Test, features: torch.nn.Module, mode: TransportMode
) -> dict[str, float]:
    """PSNR lost and falls of the distances of one map."""
    side = Side(features)
    for photo, original, latents, decoded in zip(test.restored, test.clean, test.latents, test.decoded, strict=True):
        moved = Pixels(photo.samples.copy())
        moved.add_rgb_delta(0, filter_difference(codec.decode(operator(latents)) - decoded, mode, codec.factor))
        side.add(moved.to_rgb(), original.to_rgb())
    found = {"loss": statistics.mean(test.before.psnr) - statistics.mean(side.psnr)}
    for depth, (mine, old, clean) in enumerate(zip(side.maps, test.before.maps, test.truth.maps, strict=True), 1):
        found[f"map {depth}"] = 1 - frechet_distance(mine, clean) / frechet_distance(old, clean)
    return found


def told(way: str, rows: Sequence[dict[str, float]]) -> str:
    """Medians over draws, and the worst."""
    text = f"{way:38}{statistics.median(row['loss'] for row in rows):6.2f}{max(row['loss'] for row in rows):7.2f}"
    for name in rows[0]:
        if name != "loss":
            values = [row[name] for row in rows]
            text += f"{-statistics.median(values):+7.0%} ({-min(values):+.0%})"
    return text


def main() -> None:
    """Measure every way over the draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", default="embedded")
    parser.add_argument("--natural", type=Path, required=True, help="the photos that the draws name")
    parser.add_argument("--clean", type=Path, required=True, help="test photos")
    parser.add_argument("--half", choices=("tuning", "report"), required=True)
    parser.add_argument("--degrade", default="noise:sigma=50")
    parser.add_argument("--restorer", default="nlm:sigma=50")
    parser.add_argument("--features", required=True, help="module:factory of a network that gives a list of maps")
    parser.add_argument("--patch-size", type=int, default=3)
    parser.add_argument(
        "--mode", choices=(TransportMode.DETAIL.value, TransportMode.RESIDUAL.value), default=TransportMode.DETAIL.value
    )
    parser.add_argument("--crop", type=int, default=256, help="a multiple of 8")
    parser.add_argument("--draws", type=int, default=20, help="the first so many")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.allow_code:
        parser.error(f"--features {options.features} runs code of that module: allow it with --allow-code")
    torch.set_num_threads(options.threads)
    codec = load_autoencoder(options.vae, allow_code=True)
    features = call_factory(options.features)
    test, calibration = test_photos(options, codec, features), Calibrator(codec, options)
    mode = TransportMode(options.mode)
    results: dict[str, list[dict[str, float]]] = {way: [] for way in options.ways}
    for names in json.loads(DRAWS.read_text())["draws"][: options.draws]:
        draw = calibration.draw(options.natural, names)
        for way in options.ways:
            operator = PatchTransport(*WAYS[way](draw), options.patch_size, device=codec.device)
            results[way].append(measured(codec, operator, test, features, mode))
            print(told(way, results[way][-1:]), flush=True)
    print(f"\n{'median (worst) of ' + str(options.draws) + ' draws':38}{'PSNR lost':>13}  falls of maps")
    for way, rows in results.items():
        print(told(way, rows))
    save(options.json, options, results)


if __name__ == "__main__":
    main()
