"""The names of the files that one attempt at a shard writes: its manifest file, and its tar or Parquet file of results.

No two attempts have the same name, so a driver that was suspended and wakes up long after another one has taken over
still cannot overwrite what that one has written.
"""

import re
import uuid

from pipeline.runs.paths import RunPaths

_RUN_DIGITS, _RANDOM_DIGITS = 8, 12
_EARLIER_MANIFEST_FILE_NAME = re.compile(r"\d{5,}-\d+-[0-9a-f]+\.parquet")


def new_attempt_name(run: RunPaths, shard: int, attempt: int) -> str:
    """Return a name, without suffix, that no other attempt at any shard of any run has; names sort by shard."""
    return f"{shard:05d}-{attempt}-{_run_part(run)}-{uuid.uuid4().hex[:_RANDOM_DIGITS]}"


def is_attempt_name(run: RunPaths, name: str) -> bool:
    """Whether `new_attempt_name` makes such names for a run; they hold the first digits of its fingerprint."""
    pattern = rf"\d{{5,}}-\d+-{re.escape(_run_part(run))}-[0-9a-f]{{{_RANDOM_DIGITS}}}"
    return re.fullmatch(pattern, name) is not None


def is_manifest_file_name(run: RunPaths, name: str) -> bool:
    """Whether this or an earlier version of deepot gives a manifest file of a run such a name."""
    stem, _, suffix = name.rpartition(".")
    is_current = suffix == "parquet" and is_attempt_name(run, stem)
    return is_current or _EARLIER_MANIFEST_FILE_NAME.fullmatch(name) is not None


def _run_part(run: RunPaths) -> str:
    return run.fingerprint[:_RUN_DIGITS]
