"""Print the JSON Schema of job files, for editors."""

import argparse
import json

from jobs.console import print_result
from pipeline import config


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no arguments of its own."""


def main(_: argparse.Namespace) -> int:
    """Print the schema."""
    for line in json.dumps(config.Job.model_json_schema(), indent=2, ensure_ascii=False).splitlines():
        print_result(line)
    return 0
