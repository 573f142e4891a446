"""Claim: an output folder belongs to one run, and results are written over nobody else's photos."""

import json

from pipeline.config.output_layout import Layout
from pipeline.errors import RunError
from pipeline.imageio.extensions import has_image_suffix
from pipeline.outputs.writers import shard_of
from pipeline.runs.paths import RUNS, Run
from pipeline.storage.listing import files
from pipeline.storage.objects import create, join, put, read

MARKER = "_deepot.json"
"""The file in an output folder that says which run its photos are of."""


def claim(output: str, run: Run, fingerprint: str, layout: Layout, *, replace: bool) -> None:
    """Mark an output folder as a run's, before anything is written there.

    Args:
        output: the folder.
        run: the run.
        fingerprint: of the run.
        layout: how its results will lie there.
        replace: whether photos that are there already may be written over.

    Raises:
        RunError: the folder is another run's, or holds photos that no run has put there.
    """
    marker = join(output, MARKER)
    mine = json.dumps({"fingerprint": fingerprint, "run": run.uri}, sort_keys=True).encode()
    if replace:
        put(marker, mine)
        return
    see_claim(output, run, layout)
    if not create(marker, mine):
        raise _taken(output)


def see_claim(output: str, run: Run, layout: Layout) -> None:
    """See that a run could claim an output folder; nothing is written.

    Raises:
        RunError: as `claim`.
    """
    marked = owner(output)
    if marked not in ("", run.uri):
        raise _taken(output)
    there = "" if marked else _photo(output, run, layout)
    if there and not owner(output):  # looked again: another driver marks it before it writes there
        raise RunError(
            f"{output} holds photos that no run has put there ({there} for one), and results would be written over "
            "those of the same names: name another output.uri, or write over them with --replace"
        )


def _taken(output: str) -> RunError:
    return RunError(
        f"{output} holds the photos of {owner(output)}, made with other settings or models: name another output.uri, "
        "put {map} into it so that every map has its own folder, or write over them with --replace"
    )


def owner(output: str) -> str:
    """The folder of the run that an output folder is marked as being of; empty where it is not marked."""
    try:
        return str(json.loads(read(join(output, MARKER))).get("run", "another run"))
    except FileNotFoundError:
        return ""


def _photo(output: str, run: Run, layout: Layout) -> str:
    """A file of a folder that has such a name as results have, but for what runs keep there; empty if there is none."""
    runs = run.uri.rpartition("/")[0].removeprefix(output.rstrip("/") + "/")  # elsewhere than in it: no key begins so
    found = (entry for entry in files(output) if not entry.key.startswith((f"{RUNS}/", f"{runs}/")))
    if layout is Layout.MIRROR:
        return next((entry.uri for entry in found if has_image_suffix(entry.key)), "")
    return next((entry.uri for entry in found if shard_of(entry.key) is not None), "")
