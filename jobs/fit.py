"""Gather the statistics and fit the map, nothing else."""

import argparse

from deepot.transport_map import MapInfo
from jobs.console import show_json
from jobs.flags import add_job, how_of, job_of
from pipeline.run import fit_job, open_run

add = add_job


def main(options: argparse.Namespace) -> int:
    """Fit the map of a job and say what it was fitted from."""
    opened = open_run(job_of(options), how_of(options))
    transport = fit_job(opened)
    info = transport.info
    print(f"map      {opened.job.map or opened.run.map}")
    print(f"from     {info.calibration}: {info.source_images} restored and {info.reference_images} natural images")
    print(f"         {info.source_patches} and {info.reference_patches} latent patches of {info.codec}")
    print(f"W2       {info.wasserstein2:.4f} between the two sides")
    print(f"trust    {trust(info)}")
    if options.json:
        show_json(
            run=opened.run.uri,
            map_sha256=transport.sha256,
            calibration=info.calibration,
            doubt=info.doubt,
            wasserstein2=info.wasserstein2,
            effective_images=info.effective_images,
            spread_evidence=info.spread_evidence,
            mean_evidence=info.mean_evidence,
        )
    return 0


def trust(info: MapInfo) -> str:
    """How far a map can be trusted, in words."""
    if info.spread_evidence is None or info.mean_evidence is None:
        return "unknown: a single image a side cannot be told from chance"
    used = "used as it is" if info.doubt == 0 else f"chance is left out (doubt {info.doubt:g})"
    return (
        f"{info.spread_evidence:.0%} of the map and {info.mean_evidence:.0%} of the mean shift are more than chance, "
        f"by {info.effective_images:.1f} effective images; {used}"
    )
