"""Running a job from the command line: its summary, its exit status and its notification."""

import argparse
from collections.abc import Callable

from deepot.errors import DeepotError
from jobs.console import print_summary
from jobs.flags import job_from_args, run_options_from_args
from pipeline import config, runs, stages, telemetry
from pipeline.redaction import redact


def execute_job(args: argparse.Namespace, action: "Callable[[config.Job, stages.RunOptions], runs.RunSummary]") -> int:
    """Run a job, print its summary and send its notification, whether it succeeds or fails.

    Args:
        args: the parsed command line.
        action: runs the job.

    Returns:
        The exit status.
    """
    job, options = job_from_args(args), run_options_from_args(args)
    notifier = telemetry.make_notifier(job.notify)
    context = {"name": job.name, "command": args.command}
    try:
        result = action(job, options)
    except BaseException as error:
        notifier.send(context | {"exit_status": _exit_status(error), "error": _error_text(error)})
        raise
    exit_status = print_summary(result, args.json, job.limits.max_error_rate)
    notifier.send(result.json_fields | context | {"exit_status": exit_status})
    return exit_status


def _exit_status(error: BaseException) -> int:
    """Return the exit status that `jobs.cli` gives for an error."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return 130 if isinstance(error, KeyboardInterrupt) else 2


def _error_text(error: BaseException) -> str:
    return redact(" ".join(str(error).split())) if isinstance(error, DeepotError) else type(error).__name__
