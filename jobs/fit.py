"""Compute the calibration statistics and fit the map, without processing the input."""

import argparse

from jobs.console import print_drift, print_json, print_line
from jobs.flags import add_job_arguments, job_from_args, run_options_from_args
from pipeline import calibration, stages

add_arguments = add_job_arguments


def main(args: argparse.Namespace) -> int:
    """Fit the map of a job and print what it was fitted from."""
    job, options = job_from_args(args), run_options_from_args(args)
    with stages.worker_session(job, options):  # workers are forked before models are loaded
        context = stages.open_run(job, options)
        fit_result = stages.fit_job(context)
    transport, drift = fit_result.transport, fit_result.drift
    info = transport.info
    print_line(f"map      {calibration.find_map_uri(context.job, context.calibration)}")
    print_line(f"from     {info.calibration_summary} ({info.calibration})")
    print_line(f"         {info.source_patches} and {info.reference_patches} latent patches of {info.autoencoder}")
    print_line(f"fitted   {info.kind}, patches of {info.patch_size}")
    print_line(f"W2       {info.wasserstein2:.4f} between the two sides")
    print_line(f"accuracy {info.uncertainty_summary}")
    if transport.tone is not None:
        print_line(f"tone     {transport.tone.summary}")
    mode, goal = context.job.transport.mode, context.job.transport.alpha
    alpha = transport.resolve_alpha(goal, mode)
    if transport.change is not None:
        print_line(f"gains    {transport.change.gains_summary}")
        if summary := transport.change.curve_summary(mode):
            print_line(f"error    {summary}")
        if summary := transport.change.companion_summary:
            print_line(f"companion {summary}")
    for state, test in transport.natural_tests.items():
        print_line(f"natural  {test.summary} ({state})")
    if isinstance(goal, str):
        each = "" if transport.strength_rule(goal, mode) is None else " for all alike; each photo has its own"
        print_line(f"alpha    {alpha:g}{each} ({goal})")
    print_drift(drift.json_fields if drift else None)
    if args.json:
        print_json(
            run=context.run.uri,
            map_sha256=transport.sha256,
            calibration=info.calibration,
            kind=info.kind,
            shrinkage_se=info.shrinkage_se,
            shrinkage_factor=info.shrinkage_factor,
            wasserstein2=info.wasserstein2,
            standard_error=info.standard_error,
            effective_images=info.effective_images,
            tone=transport.tone.record if transport.tone else None,
            change=transport.change.record if transport.change else None,
            natural_tests={state: test.record for state, test in transport.natural_tests.items()},
            alpha=alpha,
            drift=drift.json_fields if drift else None,
        )
    return 0
