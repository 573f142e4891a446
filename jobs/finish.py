"""Finish: the end of a job as a person, a scheduler and those that the job names are told of it."""

import argparse
from collections.abc import Callable

from deepot.errors import DeepotError
from jobs.console import show
from jobs.flags import how_of, job_of
from pipeline.config.job import Job
from pipeline.redaction import redacted
from pipeline.runs.summary import Result
from pipeline.stages.driver import How
from pipeline.telemetry.notifications import recipients


def carry_out(options: argparse.Namespace, work: Callable[[Job, How], Result]) -> int:
    """Do a job, print its totals and tell those whom it names, however it ended; returns the exit status."""
    job, how = job_of(options), how_of(options)
    wanted = recipients(job.notify, how.allow_code)
    about = {"name": job.name, "command": options.command}
    try:
        result = work(job, how)
    except BaseException as error:
        wanted.tell(about | {"exit_status": _status(error), "error": _why(error)})
        raise
    status = show(result, options.json, job.limits.max_error_rate)
    wanted.tell(result.told | about | {"exit_status": status})
    return status


def _status(error: BaseException) -> int:
    """The exit status that an error leads to, as in `jobs.cli`."""
    if isinstance(error, SystemExit):  # Ray's answer to SIGTERM
        return error.code if isinstance(error.code, int) else 1
    return 130 if isinstance(error, KeyboardInterrupt) else 2


def _why(error: BaseException) -> str:
    return redacted(" ".join(str(error).split())) if isinstance(error, DeepotError) else type(error).__name__
