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
from jobs.console import print_error
from jobs.lines import LoggedStdout
from pipeline.failures import error_message
from pipeline.redaction import redact
from pipeline.telemetry import LOG_FORMAT_ENV, LogFormat, configure_logging

log = logging.getLogger(__name__)

_STOPPED_MESSAGE = "stopped; the same command goes on where it stopped"
_BUG_MESSAGE = "an error of the program, please report it with what --verbose shows"

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
    args = _build_parser().parse_args(arguments)
    restore_logging = configure_logging(args.log_format, args.verbose)
    if not args.verbose:
        warnings.simplefilter("ignore")
        for name in ("diffusers", "botocore", "s3fs"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        return _run_as_text(args) if args.log_format is LogFormat.TEXT else _run_as_json(args)
    finally:
        restore_logging()


def _run_as_text(args: argparse.Namespace) -> int:
    """Run a command; what goes wrong is one sentence on standard error."""
    try:
        status: int = COMMANDS[args.command].main(args)
    except Exception as error:
        if args.verbose:
            print_error(redact(traceback.format_exc()))
        print_error(f"deepot {args.command}: {_format_error(error)}")
        return 2
    except KeyboardInterrupt:
        print_error(f"deepot {args.command}: {_STOPPED_MESSAGE}")
        return 130
    return status


def _format_error(error: Exception) -> str:
    if isinstance(error, DeepotError):
        return redact(str(error))
    return f"{_BUG_MESSAGE}: {type(error).__name__}: {error_message(error)}"


def _run_as_json(args: argparse.Namespace) -> int:
    """Run a command; all that it has to say are lines of JSON."""
    try:
        with redirect_stdout(LoggedStdout(sys.stdout)):
            status: int = COMMANDS[args.command].main(args)
    except DeepotError as error:
        log.error("%s", error, exc_info=args.verbose)
        return 2
    except KeyboardInterrupt:
        log.error("%s", _STOPPED_MESSAGE)
        return 130
    except Exception:
        log.exception(_BUG_MESSAGE)
        return 2
    return status


def _build_parser() -> argparse.ArgumentParser:
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
            default=os.environ.get(LOG_FORMAT_ENV) or LogFormat.TEXT,
            help=f"json: everything on standard error is lines of JSON; default: {LOG_FORMAT_ENV}, or text",
        )
        module.add_arguments(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
