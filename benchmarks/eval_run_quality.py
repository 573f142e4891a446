"""What a run did to photos whose clean originals are known: PSNR, SSIM and Fréchet distances, before and after.

    python benchmarks/quality.py RUN --clean PHOTOS --features vgg_features:features --allow-code --json FILE

Before is the job's restorer applied to the input (x*), after is the run's output. The Fréchet distances are between
the features of all positions of all photos, over the variance of the clean photos' features; with few photos they are
too large on both sides, so compare them with each other only.
"""

import argparse
import json
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from deepot.evaluation import frechet_distance, psnr, ssim
from deepot.photo import Pixels
from deepot.restoration import load_restorer
from deepot.spec import call_factory
from deepot.transport import Moments, extract_patches
from pipeline.runs import RunPaths, read_manifest
from pipeline.storage import absolute_uri, read


def load(path: str) -> Pixels:
    """The samples of a photo."""
    with Image.open(path) as image:
        return Pixels.from_image(image)


class Side:
    """One version of all photos: its distances to the clean ones, its features."""

    def __init__(self, features: torch.nn.Module) -> None:
        self.features = features
        self.psnr: list[float] = []
        self.ssim: list[float] = []
        self.maps: list[Moments] = []

    @torch.inference_mode()
    def add(self, image: Tensor, clean: Tensor) -> None:
        """Take in one photo (1, 3, H, W)."""
        self.psnr.append(psnr(image, clean))
        self.ssim.append(ssim(image, clean))
        found = [Moments.from_patches(extract_patches(features, 1)) for features in self.features(image)]
        self.maps = [old.merge(new) for old, new in zip(self.maps, found, strict=True)] if self.maps else found


def main() -> None:
    """Measure a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--clean", type=Path, required=True, help="clean photos, of the inputs' stems")
    parser.add_argument("--features", required=True, help="module:factory of a network that gives a list of maps")
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.allow_code:
        parser.error(f"--features {options.features} runs code of that module: allow it with --allow-code")
    run = RunPaths(absolute_uri(options.run))
    about = json.loads(read(run.run_json))
    restorer = load_restorer(about["job"]["restorer"], allow_code=True)
    originals = {path.stem: path for path in options.clean.iterdir()}
    features = call_factory(options.features)
    sides = {name: Side(features) for name in ("clean", "before", "after")}
    for row in read_manifest(run).to_pylist():
        clean = load(str(originals[Path(row["file_name"]).stem])).to_rgb()
        sides["clean"].add(clean, clean)
        sides["before"].add(restorer(load(row["input_uri"])).to_rgb(), clean)
        sides["after"].add(load(row["output_uri"]).to_rgb(), clean)
    record = {"run": about["fingerprint"], "autoencoder": about["job"]["vae"], "transport": about["job"]["transport"]}
    print(f"{'':8}{'PSNR':>8}{'SSIM':>8}" + "".join(f"{f'map {i + 1}':>9}" for i in range(len(sides["clean"].maps))))
    for name in ("before", "after"):
        side = sides[name]
        distances = [frechet_distance(a, b) for a, b in zip(side.maps, sides["clean"].maps, strict=True)]
        means = [sum(values) / len(values) for values in (side.psnr, side.ssim)]
        print(f"{name:8}{means[0]:8.2f}{means[1]:8.4f}" + "".join(f"{value:9.4f}" for value in distances))
        record[name] = {"psnr": means[0], "ssim": means[1], "frechet": distances}
    falls = [1 - b / a for a, b in zip(record["before"]["frechet"], record["after"]["frechet"], strict=True)]
    print(f"{'fall':8}{'':16}" + "".join(f"{fall:9.1%}" for fall in falls))
    if options.json:
        options.json.write_text(json.dumps(record | {"fall": falls}, indent=2) + "\n")


if __name__ == "__main__":
    main()
