"""The columns of the manifest that a job may leave out."""

import json
import re

from pipeline.errors import ConfigError
from pipeline.runs import RunPaths, require_run
from pipeline.storage import read

SCORE_COLUMNS = (
    "sharpness",
    "noise",
    "blockiness",
    "clipped_low",
    "clipped_high",
    "phash",
    "delta_e",
    "mean_colour_delta_e",
)
"""The columns that are null with `output.scores: false`."""
_NAMES = re.compile(rf"\b({'|'.join(SCORE_COLUMNS)})\b", re.IGNORECASE)
_TEXTS = re.compile(r"'[^']*'")  # in SQL


def check_scores(run: RunPaths, *expressions: str) -> None:
    """Check that a run has the scores that SQL expressions name.

    Raises:
        ConfigError: they name one, and its job has `output.scores: false`.
        RunError: they name one, and the folder has no run.
    """
    named = _NAMES.search(_TEXTS.sub("", " ".join(expressions)))
    if named is None:
        return
    require_run(run)
    output = json.loads(read(run.run_json)).get("job", {}).get("output", {})  # an older deepot's has no such key
    if not output.get("scores", True):
        raise ConfigError(
            f"{run.uri} has no {named[0]}, as its job has output.scores: false: set it to true and run the job again "
            "with --overwrite or another output.uri, which processes the photos once more"
        )
