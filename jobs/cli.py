"""The command line: one entry point, a module for each command."""

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence

import deepot
from deepot.errors import DeepotError
from jobs import apply, compare, demo, duplicates, evaluate, fit, gc, plan, report, run, select, status, verify
from pipeline.credentials import redacted

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
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s %(message)s")
    if not options.verbose:
        warnings.simplefilter("ignore")
        for name in ("diffusers", "botocore", "s3fs"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        status: int = COMMANDS[options.command].main(options)
    except DeepotError as error:
        if options.verbose:
            raise
        print(f"deepot {options.command}: {redacted(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"deepot {options.command}: stopped; the same command goes on where it stopped", file=sys.stderr)
        return 130
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
        module.add(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
