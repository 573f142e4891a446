"""Ownership of output folders: each belongs to one run, and results never replace photos of anyone else."""

import json

from pipeline.config import OutputLayout
from pipeline.errors import RunError
from pipeline.imageio import has_image_extension
from pipeline.outputs import is_shard_file_name
from pipeline.runs.paths import RUNS_FOLDER, RunPaths
from pipeline.sources import is_system_file
from pipeline.storage import create_if_absent, iter_files, join_uri, read, write

OWNER_FILE = "_owner.json"
"""The file in an output folder that names the run which owns it."""


def claim_output(output: str, run: RunPaths, fingerprint: str, layout: OutputLayout, *, overwrite: bool) -> None:
    """Mark an output folder as owned by a run, before any result is written there.

    Args:
        output: the output folder.
        run: the run.
        fingerprint: the fingerprint of the run.
        layout: how the results will be packed.
        overwrite: whether existing photos may be overwritten.

    Raises:
        RunError: the folder belongs to another run, or holds photos that no run has written.
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
    """Check that a run may claim an output folder; nothing is written.

    Raises:
        RunError: as for `claim_output`.
    """
    current_owner = read_output_owner(output)
    if current_owner not in ("", run.uri):
        raise _owned_by_other_error(output)
    existing = "" if current_owner else _find_result_like_file(output, run, layout)
    if existing and not read_output_owner(output):  # read again: another driver marks the folder before it writes
        raise RunError(
            f"{output} holds photos that no run has written (such as {existing}), and results of the same names would "
            "overwrite them: name another output.uri, or overwrite them with --overwrite"
        )


def _owned_by_other_error(output: str) -> RunError:
    return RunError(
        f"{output} holds the photos of {read_output_owner(output)}, made with other settings or models: name another "
        "output.uri, put {run} into it so that every run has its own folder ({map}: every map), or overwrite them "
        "with --overwrite"
    )


def read_output_owner(output: str) -> str:
    """Return the folder of the run that owns an output folder; empty if no run does."""
    try:
        return str(json.loads(read(join_uri(output, OWNER_FILE))).get("run", "another run"))
    except FileNotFoundError:
        return ""


def _find_result_like_file(output: str, run: RunPaths, layout: OutputLayout) -> str:
    """Find a file whose name a result could have, outside the folders of the runs; empty if there is none."""
    # a folder of runs outside the output folder keeps its full URI here, which no key starts with
    runs_folder = run.uri.rpartition("/")[0].removeprefix(output.rstrip("/") + "/")
    found = (entry for entry in iter_files(output) if not entry.key.startswith((f"{RUNS_FOLDER}/", f"{runs_folder}/")))
    if layout is OutputLayout.FILES:
        return next((entry.uri for entry in found if _is_photo(entry.key)), "")
    return next((entry.uri for entry in found if is_shard_file_name(entry.key)), "")


def _is_photo(key: str) -> bool:
    """Whether a file is a photo by its name, and not one that macOS or network storage has put beside photos."""
    return has_image_extension(key) and not is_system_file(key)
