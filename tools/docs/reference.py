"""Pages of the site that are generated from the program: keys of the job file, commands, the Python API."""

import ast
import re
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from textwrap import fill
from unittest.mock import patch

from pydantic.fields import FieldInfo

from jobs.cli import COMMANDS, main
from jobs.job_keys import describe_key, iter_keys, value_name
from pipeline.config import Job, describe_number, is_list, leaf_types, list_choices, section_type

_ROOT = Path(__file__).resolve().parents[2]
_PUBLIC_PACKAGES = ("deepot", "pipeline")
_KEYS_HEAD = """# Keys of the job file

Every key is also a flag of `deepot run`: `--transport.alpha 0.25` overrides the file. An editor that knows
the [JSON Schema](../job-file.schema.json), which `deepot schema` prints, completes and checks them.
"""
_COMMANDS_HEAD = """# Commands

What `deepot COMMAND --help` prints. The keys of the job file, which some commands take as flags, are on
[their own page](keys.md).
"""
_PYTHON_HEAD = """# Reference of the Python API

Every public name of `deepot`, the method, and of `pipeline`, which runs jobs; [Python API](../python.md) shows how
they are used together.
"""


def render_keys() -> str:
    """Return a page with every key of the job file: its values, its default and what it means."""
    sections: dict[str, list[str]] = {"": []}
    for key, field in iter_keys():
        name = key.partition(".")[0]
        section = name if section_type(Job.model_fields[name]) else ""
        cells = f"`{key}`", _describe_values(field), _default_of(field), _escape(field.description or "")
        sections.setdefault(section, []).append(f"| {' | '.join(cells)} |")
    parts = [_KEYS_HEAD]
    for section, rows in sections.items():
        parts += [f"## {section}", ""] if section else []
        parts += ["| key | values | default | meaning |", "| --- | --- | --- | --- |", *rows, ""]
    return "\n".join(parts)


def render_commands() -> str:
    """Return a page with the help of every command, without the flags that are keys of the job file."""
    parts = [_COMMANDS_HEAD]
    for name in COMMANDS:
        text, _, rest = _printed_by(name, "--help").partition("\n\n")
        usage = full_usage = " ".join(text.split())
        for key, field in iter_keys():
            usage = usage.replace(f" [--{key} {value_name(field)}]", "")
        rest = rest.partition("\nkeys of the job file:")[0].rstrip()
        usage += " [--KEY VALUE …]" * (usage != full_usage)
        usage = fill(usage, 100, subsequent_indent="  ", break_on_hyphens=False)
        parts.append(f"## deepot {name}\n\n```text\n{usage}\n\n{rest}\n```\n")
    return "\n".join(parts)


def render_python() -> str:
    """Return a page with a directive of mkdocstrings for every public name, by the module that it comes from."""
    parts = [_PYTHON_HEAD]
    for package in _PUBLIC_PACKAGES:
        stub = _ROOT / package / "__init__.pyi"
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                parts.append(f"## {package}.{node.module}\n")
                parts += [f"::: {package}.{node.module}.{alias.name}\n" for alias in node.names]
    return "\n".join(parts)


def render_schema() -> str:
    """Return the JSON Schema of job files, as `deepot schema` prints it."""
    return _printed_by("schema")


def _escape(text: str) -> str:
    """Return a text as Markdown that shows it as it is."""
    return re.sub(r"([*_<|])", r"\\\1", text)


def _describe_values(field: FieldInfo) -> str:
    """Return the values that a key takes, as Markdown."""
    leaves, _ = leaf_types(field)
    choices = ", ".join(f"`{choice}`" for leaf in leaves for choice in list_choices(leaf))
    if is_list(field):
        return f"list of {choices}" if choices else "list"
    if section_type(field):
        return "URI, or the keys below"
    if int in leaves or float in leaves:
        return describe_number(field)
    return choices or "text"


def _default_of(field: FieldInfo) -> str:
    """Return the default of a key, as its help shows it."""
    if field.is_required():
        return "*required*"
    default = describe_key(field).removeprefix(field.description or "").strip()
    return f"`{default.removeprefix('(default: ').removesuffix(')')}`" if default else ""


def _printed_by(*arguments: str) -> str:
    """Return what a command prints, help in lines of at most 100 characters."""
    text = StringIO()
    with redirect_stdout(text), suppress(SystemExit), patch.dict("os.environ", COLUMNS="102"):
        main(arguments)
    return text.getvalue()


PAGES: dict[str, Callable[[], str]] = {
    "reference/keys.md": render_keys,
    "reference/commands.md": render_commands,
    "reference/python.md": render_python,
    "job-file.schema.json": render_schema,
}
"""Generated file of the site → the function that returns its text."""
