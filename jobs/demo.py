"""The whole job on packaged photos, without network: degrade, restore, calibrate, transport, report."""

import argparse
from pathlib import Path

import yaml

from deepot.restoration import load_degradation
from jobs.console import make_progress, print_summary
from jobs.demo_photos import degrade_and_restore, write_comparison, write_packaged_photos
from pipeline.config import load_job
from pipeline.errors import ConfigError
from pipeline.runs import RunPaths
from pipeline.stages import RunOptions, run_job

_RESTORERS = {"noise": "nlm:sigma=50", "jpeg": "nlm:sigma=10", "blur": "identity", "downscale": "resize:factor=4"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the demo does and where."""
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder of all results")
    parser.add_argument("--degradation", default="noise:sigma=50", help="as calibration.degradation of a job file")
    parser.add_argument("--restorer", help="as restorer of a job file; chosen by the degradation if not given")
    parser.add_argument("--alpha", type=float, default=0.0, help="0 full transport, 1 the restored photo itself")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON for a scheduler")


def main(args: argparse.Namespace) -> int:
    """Make the photos, write the job file, run it, show where the results are."""
    load_degradation(args.degradation)  # what is wrong with it is said first
    degradation_name = args.degradation.partition(":")[0]
    restorer = args.restorer or _RESTORERS.get(degradation_name)
    if restorer is None:
        raise ConfigError(f"the demo knows no restorer for '{args.degradation}'; name one with --restorer")
    folder = args.output.absolute()
    progress_bars = make_progress()
    clean = write_packaged_photos(folder / "clean")
    degrade_and_restore(clean, folder, args.degradation, restorer, progress_bars)
    job_file = folder / "job.yaml"
    job_file.write_text(
        yaml.safe_dump(
            {
                "name": f"demo: {args.degradation}",
                "input": {"images": str(folder / "restored")},
                "calibration": {
                    "reference": str(folder / "clean"),
                    "degradation": args.degradation,
                    "restorer": restorer,
                },
                "transport": {"alpha": args.alpha},
                "output": {"uri": str(folder / "enhanced")},
            },
            sort_keys=False,
        )
    )
    job = load_job(job_file)
    result = run_job(job, RunOptions(overwrite=True, progress=progress_bars))
    write_comparison(folder, sorted(path.name for path in clean)[:4])
    status = print_summary(result, args.json, job.limits.max_error_rate)
    print(f"job      {job_file}\nphotos   {folder / 'enhanced'}\nstrip    {folder / 'comparison.png'}")
    print(f"report   {RunPaths(result.run).report}")
    return status
