"""Gather the statistics and fit the map, nothing else."""

import argparse

from jobs.console import print_drift, print_json
from jobs.flags import add_job_arguments, job_from_args, run_options_from_args
from pipeline.calibration import find_map_uri
from pipeline.stages import fit_job, open_run

add_arguments = add_job_arguments


def main(args: argparse.Namespace) -> int:
    """Fit the map of a job and say what it was fitted from."""
    context = open_run(job_from_args(args), run_options_from_args(args))
    fit_result = fit_job(context)
    transport, drift = fit_result.transport, fit_result.drift
    info = transport.info
    print(f"map      {find_map_uri(context.job, context.calibration)}")
    print(f"from     {info.calibration}: {info.source_images} restored and {info.reference_images} natural images")
    print(f"         {info.source_patches} and {info.reference_patches} latent patches of {info.autoencoder}")
    print(f"fitted   {info.kind}, patches of {info.patch_size}")
    print(f"W2       {info.wasserstein2:.4f} between the two sides")
    print(f"trust    {info.uncertainty_summary}")
    print_drift(drift.json_fields if drift else None)
    if args.json:
        print_json(
            run=context.run.uri,
            map_sha256=transport.sha256,
            calibration=info.calibration,
            kind=info.kind,
            doubt=info.shrinkage_se,
            wasserstein2=info.wasserstein2,
            share=info.shrinkage_factor,
            standard_error=info.standard_error,
            effective_images=info.effective_images,
            drift=drift.json_fields if drift else None,
        )
    return 0
