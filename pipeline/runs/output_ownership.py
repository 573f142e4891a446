"""Claim: an output folder belongs to one run, and results are written over nobody else's photos."""

import json

from pipeline.config import OutputLayout
from pipeline.errors import RunError
from pipeline.imageio import has_image_extension
from pipeline.outputs import parse_shard_number
from pipeline.runs.paths import RUNS_FOLDER, RunPaths
from pipeline.storage import create_if_absent, iter_files, join_uri, read, write

OWNER_FILE = "_owner.json"
"""The file in an output folder that says which run its photos are of."""


def claim_output(output: str, run: RunPaths, fingerprint: str, layout: OutputLayout, *, overwrite: bool) -> None:
    """Mark an output folder as a run's, before anything is written there.

    Args:
        output: the folder.
        run: the run.
        fingerprint: of the run.
        layout: how its results will lie there.
        overwrite: whether photos that are there already may be written over.

    Raises:
        RunError: the folder is another run's, or holds photos that no run has put there.
    """
    marker = join_uri(output, OWNER_FILE)
    record = json.dumps({"fingerprint": fingerprint, "run": run.uri}, sort_keys=True).encode()
    if overwrite:
        write(marker, record)
        return
    check_output_claim(output, run, layout)
    if not create_if_absent(marker, record):
        raise _owned_by_other_error(output)


def check_output_claim(output: str, run: RunPaths, layout: OutputLayout) -> None:
    """See that a run could claim an output folder; nothing is written.

    Raises:
        RunError: as `claim_output`.
    """
    current_owner = read_output_owner(output)
    if current_owner not in ("", run.uri):
        raise _owned_by_other_error(output)
    existing = "" if current_owner else _find_result_like_file(output, run, layout)
    if existing and not read_output_owner(output):  # looked again: another driver marks it before it writes there
        raise RunError(
            f"{output} holds photos that no run has put there ({existing} for one), and results would be written over "
            "those of the same names: name another output.uri, or write over them with --overwrite"
        )


def _owned_by_other_error(output: str) -> RunError:
    return RunError(
        f"{output} holds the photos of {read_output_owner(output)}, made with other settings or models: name another output.uri, "
        "put {map} into it so that every map has its own folder, or write over them with --overwrite"
    )


def read_output_owner(output: str) -> str:
    """The folder of the run that an output folder is marked as being of; empty where it is not marked."""
    try:
        return str(json.loads(read(join_uri(output, OWNER_FILE))).get("run", "another run"))
    except FileNotFoundError:
        return ""


def _find_result_like_file(output: str, run: RunPaths, layout: OutputLayout) -> str:
    """A file of a folder that has such a name as results have, but for what runs keep there; empty if there is none."""
    runs_folder = run.uri.rpartition("/")[0].removeprefix(
        output.rstrip("/") + "/"
    )  # elsewhere than in it: no key begins so
    found = (entry for entry in iter_files(output) if not entry.key.startswith((f"{RUNS_FOLDER}/", f"{runs_folder}/")))
    if layout is OutputLayout.FILES:
        return next((entry.uri for entry in found if has_image_extension(entry.key)), "")
    return next((entry.uri for entry in found if parse_shard_number(entry.key) is not None), "")
