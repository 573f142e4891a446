"""Gather the statistics and fit the map, nothing else."""

import argparse

from jobs.console import show_drift, show_json
from jobs.flags import add_job, how_of, job_of
from pipeline.calibration.maps import map_uri
from pipeline.stages.driver import fit_job, open_run

add = add_job


def main(options: argparse.Namespace) -> int:
    """Fit the map of a job and say what it was fitted from."""
    opened = open_run(job_of(options), how_of(options))
    fitted = fit_job(opened)
    transport, drift = fitted.transport, fitted.drift
    info = transport.info
    print(f"map      {map_uri(opened.job, opened.run)}")
    print(f"from     {info.calibration}: {info.source_images} restored and {info.reference_images} natural images")
    print(f"         {info.source_patches} and {info.reference_patches} latent patches of {info.codec}")
    print(f"fitted   {info.components} Gaussian(s) a side, patches of {info.patch_size}")
    print(f"W2       {info.wasserstein2:.4f} between the two sides")
    print(f"trust    {info.trust}")
    show_drift(drift.told if drift else None)
    if options.json:
        show_json(
            run=opened.run.uri,
            map_sha256=transport.sha256,
            calibration=info.calibration,
            components=info.components,
            doubt=info.doubt,
            wasserstein2=info.wasserstein2,
            share=info.share,
            standard_error=info.standard_error,
            effective_images=info.effective_images,
            drift=drift.told if drift else None,
        )
    return 0
