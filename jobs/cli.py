"""The `deepot` command: parses the command line, runs one command and reports how it ended."""

import argparse
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import NoReturn

import deepot
from deepot.errors import DeepotError
from jobs import apply, compare, demo, duplicates, evaluate, fit, gc, init, plan, report, run, select, status, verify
from jobs.console import print_error
from jobs.log_output import LoggedStdout
from pipeline.escaping import escape, iter_traceback_lines
from pipeline.failures import error_message
from pipeline.redaction import redact
from pipeline.telemetry import LOG_FORMAT_ENV, LogFormat, configure_logging

log = logging.getLogger(__name__)

_STOPPED_MESSAGE = "stopped; run the same command again to resume"
_BUG_MESSAGE = "internal error, please report it with the output of --verbose"

COMMANDS = {
    "demo": demo,
    "init": init,
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


class _Parser(argparse.ArgumentParser):
    """Reports an error as one sentence, without the usage, which lists more than fifty flags."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and a sentence with the command, the message and where to read more."""
        self.exit(2, escape(f"{self.prog}: {redact(message)}; see '{self.prog} --help'") + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the command line without the program's name; `sys.argv` by default.

    Returns:
        The exit status: 0 all done; 1 done, but too many images failed or a check found differences; 2 the command
        could not run; 130 interrupted.
    """
    args = _build_parser().parse_args(arguments)
    with _sigterm_as_interrupt():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    """Run the command of a parsed command line, with its logging; returns the exit status."""
    restore_logging = configure_logging(args.log_format, args.verbose)
    if not args.verbose:
        warnings.simplefilter("ignore")
        for name in ("diffusers", "botocore", "s3fs"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        return _run_as_text(args) if args.log_format is LogFormat.TEXT else _run_as_json(args)
    finally:
        restore_logging()


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, which schedulers send, stop the command as Ctrl-C does: with its workers, and resumable."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


def _run_as_text(args: argparse.Namespace) -> int:
    """Run a command and print an error as one sentence on standard error."""
    try:
        exit_status: int = COMMANDS[args.command].main(args)
    except Exception as error:
        if args.verbose:
            for line in iter_traceback_lines(error):
                print_error(redact(line))
        print_error(f"deepot {args.command}: {_format_error(error)}")
        return 2
    except KeyboardInterrupt:
        print_error(f"deepot {args.command}: {_STOPPED_MESSAGE}")
        return 130
    return exit_status


def _format_error(error: Exception) -> str:
    if isinstance(error, DeepotError):
        return redact(str(error))
    return f"{_BUG_MESSAGE}: {type(error).__name__}: {error_message(error)}"


def _run_as_json(args: argparse.Namespace) -> int:
    """Run a command and write its output and errors as lines of JSON."""
    try:
        with redirect_stdout(LoggedStdout(sys.stdout)):
            exit_status: int = COMMANDS[args.command].main(args)
    except DeepotError as error:
        log.error("%s", error, exc_info=args.verbose)
        return 2
    except KeyboardInterrupt:
        log.error("%s", _STOPPED_MESSAGE)
        return 130
    except Exception:
        log.exception(_BUG_MESSAGE)
        return 2
    return exit_status


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="deepot", description="Make restored photos look real: Deep Optimal Transport for photo archives."
    )
    parser.add_argument("--version", action="version", version=f"deepot {deepot.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--verbose", action="store_true", help="print logs, warnings and full tracebacks")
        command.add_argument(
            "--log-format",
            type=LogFormat,
            choices=list(LogFormat),
            default=os.environ.get(LOG_FORMAT_ENV) or LogFormat.TEXT,
            help=f"json: write everything on standard error as lines of JSON (default: ${LOG_FORMAT_ENV}, or text)",
        )
        module.add_arguments(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
