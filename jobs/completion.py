"""Print the shell code that completes deepot's commands, flags and files."""

import argparse

from argcomplete.shell_integration import shellcode

from jobs.console import print_result

_PROGRAM = "deepot"
_SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the shell."""
    parser.add_argument("shell", choices=_SHELLS, help="the shell that runs the code")


def main(args: argparse.Namespace) -> int:
    """Print the code."""
    for line in shellcode([_PROGRAM], shell=args.shell).splitlines():
        print_result(line)
    return 0
