"""The `deepot` command: parses the command line, runs one command and reports how it ended."""

import argparse
import importlib
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from difflib import get_close_matches
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import deepot
from deepot.arguments import nearest_hint
from deepot.errors import DeepotError
from jobs.console import ended_by_reader, flush_output, print_error, quiet_output
from jobs.log_output import LoggedStdout
from pipeline.escaping import escape, iter_traceback_lines
from pipeline.redaction import redact
from pipeline.telemetry import LOG_FORMAT_ENV, LogFormat, configure_logging

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

log = logging.getLogger(__name__)

_MIN_LIKENESS = 0.7  # of a flag to an unknown one; at difflib's 0.6 --dry-run is like --run
_STOPPED_MESSAGE = "stopped; run the same command again to resume"
_COMPLETION_ENV = "_ARGCOMPLETE"  # set by the shell code of `deepot completion`
_BUG_MESSAGE = "internal error, please report it with the output of --verbose"

COMMANDS = {
    "demo": "Run a complete job on packaged photos, without network access.",
    "init": "Examine photos and write a job file for them.",
    "run": "Plan, fit, apply and report; run it again to resume.",
    "preview": "Show what a job makes of a few photos at several α, on one page, before anything is run.",
    "plan": "List the input and write the plan.",
    "fit": "Compute the calibration statistics and fit the map, without processing the input.",
    "apply": "Plan new photos and process them with an existing map.",
    "status": "Show the progress of a run, once or with --watch until it is complete.",
    "verify": "Check every result of a run against its manifest row; with --requeue, queue missing or corrupt ones "
    "again.",
    "gc": "Remove uncommitted or folded manifest files, partial files and results that no manifest row names.",
    "compact": "Fold the rows and commits of a run into few files, which makes reading a large run faster.",
    "report": "Write the report page of a run from what is committed so far.",
    "review": "Write a page to accept or reject a sample of a run's photos, or state what saved decisions show.",
    "select": "Select photos of a run with an SQL expression over the manifest, and export them.",
    "duplicates": "Find photos of a run that look the same by their perceptual hashes.",
    "record": "Write a preservation event for every photo of a run, as PREMIS or as lines of JSON.",
    "export": "Export photos of a run with their events and checksums, in layouts that other systems read.",
    "credentials": "Sign the results of a run with content credentials (C2PA), beside them or in copies of them.",
    "compare": "Compare collections of photos by the Wasserstein distances between their latent patches.",
    "evaluate": "Measure realism and error over α and mode on photos with known clean originals.",
    "schema": "Print the JSON Schema of job files, for editors.",
    "completion": "Print the shell code that completes deepot's commands, flags and files.",
}
"""Command → the first line of the docstring of its module in `jobs`, which is imported only for this command."""


class _Parser(argparse.ArgumentParser):
    """Reports an error as one sentence, without the usage, which lists more than fifty flags."""

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        with ended_by_reader():  # help is longer than what standard output holds back
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and a sentence with the command, the message and where to read more."""
        self.exit(2, escape(f"{self.prog}: {redact(message)}; see '{self.prog} --help'") + "\n")


class _CommandParser(_Parser):
    """Parses the arguments of one command; only then it imports the command's module, which declares them.

    Attributes:
        undeclared: the command whose arguments are not declared yet.
    """

    undeclared: str | None = None

    def hint_at(self, arguments: Sequence[str]) -> str:
        """Return the flag that is spelled most like an unknown one, as the end of a sentence; empty without any."""
        flags = [flag for action in self._actions for flag in action.option_strings]
        last_parts = {flag.rpartition(".")[2].lstrip("-") for flag in flags}
        for argument in arguments:
            name = argument.partition("=")[0].lstrip("-").replace("-", "_")
            if argument.startswith("-") and (
                near := get_close_matches(name, [*last_parts, *flags], n=1, cutoff=_MIN_LIKENESS)
            ):
                fitting = [flag for flag in flags if near[0] in (flag, flag.rpartition(".")[2].lstrip("-"))]
                return f"; did you mean {min(fitting, key=len)}?"
        return ""

    def declare(self) -> None:
        """Declare the arguments, unless they are declared."""
        command, self.undeclared = self.undeclared, None
        if command is not None:
            _import_command(command).add_arguments(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401 — as argparse has it
        """Declare the arguments, and parse them."""
        self.declare()
        return super().parse_known_args(args, namespace)


class _ProgramParser(_Parser):
    """Parses the command line of the program.

    Attributes:
        commands: the parser of each command.
    """

    commands: Mapping[str, _CommandParser] = {}

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and a sentence; a misspelled command gets the one that is spelled most like it."""
        found = re.match(r"argument COMMAND: invalid choice: '(.*?)' ", message)
        if found and (hint := nearest_hint(found[1], self.commands)):
            message = f"there is no command '{found[1]}'{hint}"
        super().error(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the command line without the program's name; `sys.argv` by default.

    Returns:
        The exit status: 0 all done; 1 done, but too many images failed or a check found differences; 2 the command
        could not run; 130 interrupted.
    """
    parser = _build_parser()
    if _COMPLETION_ENV in os.environ:
        _complete(parser)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        command = parser.commands[args.command]
        flags = [word.partition("=")[0] for word in unknown if word.startswith("-")]
        named = flags or unknown  # what follows an unknown flag may be a secret
        command.error(f"unrecognized arguments: {' '.join(named)}{command.hint_at(unknown)}")
    with _sigterm_as_interrupt():
        return _run(args)


def _complete(parser: _ProgramParser) -> None:
    """Print the completions of the command line that the shell passes in the environment, and end the process."""
    from argcomplete import autocomplete

    for word in os.environ.get("COMP_LINE", "").split()[1:2]:
        if word in parser.commands:
            parser.commands[word].declare()  # argcomplete replaces the actions that are there when parsing starts
    autocomplete(parser, always_complete_options=False)


def _run(args: argparse.Namespace) -> int:
    """Run the command of a parsed command line, with its logging; returns the exit status."""
    restore_logging = configure_logging(args.log_format, args.verbose)
    if not args.verbose:
        warnings.simplefilter("ignore")
        for name in ("diffusers", "botocore", "huggingface_hub", "s3fs"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with quiet_output(args.quiet):
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
        exit_status: int = _import_command(args.command).main(args)
        flush_output()
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
    from pipeline.failures import error_message  # imports torch

    return f"{_BUG_MESSAGE}: {type(error).__name__}: {error_message(error)}"


def _run_as_json(args: argparse.Namespace) -> int:
    """Run a command and write its output and errors as lines of JSON."""
    try:
        with redirect_stdout(LoggedStdout(sys.stdout)):
            exit_status: int = _import_command(args.command).main(args)
        flush_output()
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


def _build_parser() -> _ProgramParser:
    parser = _ProgramParser(
        prog="deepot", description="Make restored photos look real: Deep Optimal Transport for photo archives."
    )
    parser.add_argument("--version", action="version", version=f"deepot {deepot.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_CommandParser)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        command.undeclared = name
        command.add_argument("-q", "--quiet", action="store_true", help="print results and errors only")
        command.add_argument("-v", "--verbose", action="store_true", help="print logs, warnings and full tracebacks")
        command.add_argument(
            "--log-format",
            type=_log_format,
            metavar="{text,json}",
            default=os.environ.get(LOG_FORMAT_ENV) or LogFormat.TEXT,
            help=f"json: write everything on standard error as lines of JSON (default: ${LOG_FORMAT_ENV}, or text)",
        )
    parser.commands = dict(commands.choices)
    return parser


def _log_format(text: str) -> LogFormat:
    try:
        return LogFormat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not possible: give {' or '.join(LogFormat)}") from None


def _import_command(name: str) -> ModuleType:
    return importlib.import_module(f"jobs.{name}")


if __name__ == "__main__":
    sys.exit(main())
