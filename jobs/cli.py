"""The command line: one entry point, a module for each command."""

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout

import deepot
from deepot.errors import DeepotError
from jobs import apply, compare, demo, duplicates, evaluate, fit, gc, plan, report, run, select, status, verify
from jobs.console import say_error
from jobs.lines import Printed
from pipeline.failures import said
from pipeline.redaction import redacted
from pipeline.telemetry import logs
from pipeline.telemetry.logs import LogFormat

log = logging.getLogger(__name__)

_STOPPED = "stopped; the same command goes on where it stopped"
_OURS = "an error of the program, please report it with what --verbose shows"

COMMANDS = {
    "demo": demo,
    "run": run,
    "plan": plan,
    "fit": fit,
    "apply": apply,
    "status": status,
    "verify": verify,
    "gc": gc,
    "report": report,
    "select": select,
    "duplicates": duplicates,
    "compare": compare,
    "evaluate": evaluate,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 all done, 1 done but too many images failed (or verify found differences), 2 the job could not run.
    """
    options = _parser().parse_args(arguments)
    put_back = logs.start(options.log_format, options.verbose)
    if not options.verbose:
        warnings.simplefilter("ignore")
        for name in ("diffusers", "botocore", "s3fs"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        return _carried_out(options) if options.log_format is LogFormat.TEXT else _logged(options)
    finally:
        put_back()


def _carried_out(options: argparse.Namespace) -> int:
    """Run a command; what goes wrong is one sentence on standard error."""
    try:
        status: int = COMMANDS[options.command].main(options)
    except Exception as error:
        if options.verbose:
            say_error(redacted(traceback.format_exc()))
        say_error(f"deepot {options.command}: {_sentence(error)}")
        return 2
    except KeyboardInterrupt:
        say_error(f"deepot {options.command}: {_STOPPED}")
        return 130
    return status


def _sentence(error: Exception) -> str:
    if isinstance(error, DeepotError):
        return redacted(str(error))
    return f"{_OURS}: {type(error).__name__}: {said(error)}"


def _logged(options: argparse.Namespace) -> int:
    """Run a command; all that it has to say are lines of JSON."""
    try:
        with redirect_stdout(Printed(sys.stdout)):
            status: int = COMMANDS[options.command].main(options)
    except DeepotError as error:
        log.error("%s", error, exc_info=options.verbose)
        return 2
    except KeyboardInterrupt:
        log.error("%s", _STOPPED)
        return 130
    except Exception:
        log.exception(_OURS)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deepot", description="Make restored photos look real: Deep Optimal Transport for archives."
    )
    parser.add_argument("--version", action="version", version=f"deepot {deepot.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--verbose", action="store_true", help="logs, and whole tracebacks")
        command.add_argument(
            "--log-format",
            type=LogFormat,
            choices=list(LogFormat),
            default=os.environ.get(logs.VARIABLE) or LogFormat.TEXT,
            help=f"json: everything on standard error is lines of JSON; default: {logs.VARIABLE}, or text",
        )
        module.add(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
