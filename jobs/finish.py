"""Finish: the end of a job as a person, a scheduler and those that the job names are told of it."""

import argparse
from collections.abc import Callable

from deepot.errors import DeepotError
from jobs.console import print_summary
from jobs.flags import job_from_args, run_options_from_args
from pipeline.config import Job
from pipeline.redaction import redact
from pipeline.runs import RunSummary
from pipeline.stages import RunOptions
from pipeline.telemetry import make_notifier


def execute_job(args: argparse.Namespace, action: Callable[[Job, RunOptions], RunSummary]) -> int:
    """Do a job, print its totals and tell those whom it names, however it ended; returns the exit status."""
    job, options = job_from_args(args), run_options_from_args(args)
    notifier = make_notifier(job.notify)
    context = {"name": job.name, "command": args.command}
    try:
        result = action(job, options)
    except BaseException as error:
        notifier.send(context | {"exit_status": _exit_status(error), "error": _error_text(error)})
        raise
    status = print_summary(result, args.json, job.limits.max_error_rate)
    notifier.send(result.json_fields | context | {"exit_status": status})
    return status


def _exit_status(error: BaseException) -> int:
    """The exit status that an error leads to, as in `jobs.cli`."""
    if isinstance(error, SystemExit):  # Ray's answer to SIGTERM
        return error.code if isinstance(error.code, int) else 1
    return 130 if isinstance(error, KeyboardInterrupt) else 2


def _error_text(error: BaseException) -> str:
    return redact(" ".join(str(error).split())) if isinstance(error, DeepotError) else type(error).__name__
