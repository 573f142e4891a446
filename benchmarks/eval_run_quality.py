"""What a run did to photos whose clean originals are known: PSNR, SSIM and Fréchet distances, before and after.

    python benchmarks/eval_run_quality.py RUN --clean PHOTOS --features vgg_features:features --allow-code --json FILE

"Before" is the job's restorer applied to the input (x*), "after" the run's output. The Fréchet distances are between
the features of all positions of all photos, over the variance of the clean photos' features. With few photos they are
too large on both sides, so compare them with each other only.
"""

import json
from pathlib import Path

from benchmarks._photo_sets import PhotoSetScores, read_photo
from benchmarks._results import make_parser
from deepot.restoration import load_restorer
from deepot.spec import call_factory
from pipeline.runs import RunPaths, read_manifest
from pipeline.storage import absolute_uri, read


def main() -> None:
    """Measure a run."""
    parser = make_parser(__doc__)
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--clean", type=Path, required=True, help="clean photos, with the stems of the input's photos")
    parser.add_argument("--features", required=True, help="module:factory of a network that returns feature maps")
    parser.add_argument("--allow-code", action="store_true")
    options = parser.parse_args()
    if not options.allow_code:
        parser.error(f"--features {options.features} runs code of that module: allow it with --allow-code")
    run = RunPaths(absolute_uri(options.run))
    run_json = json.loads(read(run.run_json))
    job = run_json["job"]
    restorer = load_restorer(job["restorer"], allow_code=True)
    originals = {path.stem: path for path in options.clean.iterdir()}
    features = call_factory(options.features)
    clean, before, after = (PhotoSetScores(features) for _ in range(3))
    for row in read_manifest(run).to_pylist():
        original = read_photo(originals[Path(row["file_name"]).stem]).to_rgb()
        clean.add(original, original)
        before.add(restorer(read_photo(row["input_uri"])).to_rgb(), original)
        after.add(read_photo(row["output_uri"]).to_rgb(), original)
    results = {"run": run_json["fingerprint"], "autoencoder": job["autoencoder"], "transport": job["transport"]}
    print(f"{'':8}{'PSNR':>8}{'SSIM':>8}" + "".join(f"{f'map {i + 1}':>9}" for i in range(len(clean.moments))))
    for name, scores in (("before", before), ("after", after)):
        distances = scores.frechet_distances(clean)
        mean_psnr, mean_ssim = (sum(values) / len(values) for values in (scores.psnr, scores.ssim))
        print(f"{name:8}{mean_psnr:8.2f}{mean_ssim:8.4f}" + "".join(f"{distance:9.4f}" for distance in distances))
        results[name] = {"psnr": mean_psnr, "ssim": mean_ssim, "frechet": distances}
    pairs = zip(results["before"]["frechet"], results["after"]["frechet"], strict=True)
    reductions = [1 - distance_after / distance_before for distance_before, distance_after in pairs]
    print(f"{'reduction':24}" + "".join(f"{reduction:9.1%}" for reduction in reductions))
    if options.json:
        options.json.write_text(json.dumps(results | {"reduction": reductions}, indent=2) + "\n")


if __name__ == "__main__":
    main()
