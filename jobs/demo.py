"""Run a complete job on packaged photos, without network access."""

import argparse
from pathlib import Path

import deepot
from deepot.inference import DEFAULT_ALPHA
from jobs.console import make_progress, print_line, print_summary
from jobs.flags import add_json_flag, number
from pipeline import config, stages
from pipeline.errors import ConfigError

_RESTORERS = {"noise": "nlm:sigma=50", "jpeg": "nlm:sigma=10", "blur": "identity", "downscale": "resize:factor=4"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder, the degradation, the restorer and α."""
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="FOLDER",
        help="output folder (default: demo-output)",
    )
    parser.add_argument(
        "--degradation",
        default="noise:sigma=50",
        help="degradation of the photos, as in calibration.degradation of a job file (default: noise:sigma=50)",
    )
    parser.add_argument(
        "--restorer",
        help="restorer, as in calibration.restorer of a job file (default: one that suits the degradation)",
    )
    parser.add_argument(
        "--alpha",
        type=number(-4, 4),
        default=DEFAULT_ALPHA,
        metavar="NUMBER",
        help="0: full transport; 1: the restored photo itself (default: %(default)s)",
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Degrade and restore the photos, write and run a job for them, and print where the results are."""
    from jobs.demo_photos import DEMO_SIZE, degrade_and_restore, write_comparison, write_packaged_photos

    deepot.load_degradation(args.degradation)  # raises before anything is written
    degradation_name = args.degradation.partition(":")[0]
    restorer = args.restorer or _RESTORERS.get(degradation_name)
    if restorer is None:
        raise ConfigError(
            f"the demo has no restorer for the degradation '{args.degradation}': name one with --restorer"
        )
    folder = args.output.absolute()
    print_line(f"demo     packaged photos are degraded ({args.degradation}), restored ({restorer}) and enhanced;")
    print_line("         it takes about 20 seconds on two cores")
    progress_bars = make_progress()
    clean = write_packaged_photos(folder / "clean", DEMO_SIZE)
    degrade_and_restore(clean, folder, args.degradation, restorer, progress_bars)
    job_file = folder / "job.yaml"
    job_file.write_text(_job_text(folder, args.degradation, restorer, args.alpha))
    job = config.load_job(job_file)
    result = stages.run_job(job, stages.RunOptions(overwrite=True, progress=progress_bars))
    write_comparison(folder, sorted(path.name for path in clean)[:4])
    exit_status = print_summary(result, args.json, job.limits.max_error_rate)
    print_line(f"job      {job_file}")
    print_line(f"photos   {folder / 'enhanced'}")
    print_line(f"compare  {folder / 'comparison.png'}")
    return exit_status


def _job_text(folder: Path, degradation: str, restorer: str, alpha: float) -> str:
    """Return a job file for the demo's folders, as YAML."""
    job = {
        "name": f"demo: {degradation}",
        "input": str(folder / "restored"),
        "output": str(folder / "enhanced"),
        "calibration": {"reference": str(folder / "clean"), "degradation": degradation, "restorer": restorer},
        "transport": {"alpha": alpha},
    }
    import yaml

    return yaml.safe_dump(job, sort_keys=False)
