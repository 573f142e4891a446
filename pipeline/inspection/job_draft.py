"""A job file that fits the photos of an input, and what it was written from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import Job, parse_job
from pipeline.errors import ConfigError
from pipeline.inspection.calibration_choice import CalibrationChoice, choose_calibration
from pipeline.inspection.inspection import Inspection, inspect_input
from pipeline.inspection.job_text import compose_job_text
from pipeline.inspection.suggested_names import suggest_name, suggest_output
from pipeline.progress import Progress


@dataclass(frozen=True)
class JobDraft:
    """A job file that has not been written yet.

    Attributes:
        path: where it is to be written.
        text: its text.
        found: what it was written from.
        choice: the calibration and the restorers in it.
    """

    path: Path
    text: str
    found: Inspection
    choice: CalibrationChoice

    @property
    def json_fields(self) -> dict[str, Any]:
        """What was found and chosen, for a line of JSON."""
        found, choice = self.found, self.choice
        return {
            "job": str(self.path),
            "input": found.job.input.images,
            "output": found.job.output.uri,
            "images": found.n_photos,
            "bytes": found.n_bytes,
            "passed_over": dict(found.passed_over),
            "examined": len(found.photos) + len(found.unusable),
            "unreadable": [{"name": key, "error_code": code} for key, code, _ in found.unusable],
            "classes": [
                {
                    "kind": each.kind.value,
                    "images": len(each.photos),
                    "strength": each.strength,
                    "strengths": [each.strengths[0], each.strengths[-1]] if each.strengths else None,
                    "jpeg_quality": each.jpeg_quality,
                    "names": [photo.key for photo in each.photos],
                }
                for each in found.classes
            ],
            "degradation": choice.degradation,
            "restorer": choice.restorer,
            "calibration_restorer": choice.calibration_restorer or choice.restorer,
        }


def draft_job(uri: str, path: Path | None, progress: Progress, *, overwrite: bool = False) -> JobDraft:
    """Examine the photos of an input and draft a job file for them; nothing is written.

    Args:
        uri: the photos, as `input` of a job file.
        path: where the job file is to be written; a name after the input in the current folder if None.
        progress: receives the progress.
        overwrite: whether there may be a file already.

    Raises:
        ConfigError: there is such a file, or the URI cannot be an input.
        NothingFoundError: there are no photos, or none of the sample can be read.
        StorageError: the input does not exist or cannot be listed.
    """
    target = path or Path(f"{suggest_name(uri)}.yaml")
    if not overwrite:
        check_absent(target)
    found = inspect_input(_make_job(uri), progress)
    choice = choose_calibration(found.classes[0])
    return JobDraft(target, compose_job_text(found, choice, target.name), found, choice)


def write_draft(draft: JobDraft, *, overwrite: bool = False) -> None:
    """Write a drafted job file.

    Raises:
        ConfigError: there is a file of that name and it must not be overwritten, or it cannot be written.
    """
    try:
        with draft.path.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(draft.text)
    except FileExistsError:
        check_absent(draft.path)
    except OSError as error:
        raise ConfigError(f"{draft.path} cannot be written: {error.strerror}; name another file with --job") from error


def check_absent(path: Path) -> None:
    """Raise ConfigError if there is a file of that name, or anything else."""
    if path.exists() or path.is_symlink():
        raise ConfigError(
            f"{path} exists, and a job file is never overwritten unasked: name another one with --job, or add "
            "--overwrite"
        )


def _make_job(uri: str) -> Job:
    """Return a job for an input with a calibration that is not chosen yet.

    Raises:
        ConfigError: the URI cannot be an input.
    """
    content = {
        "name": suggest_name(uri),
        "input": uri,
        "output": suggest_output(uri),
        "calibration": {"degradation": "noise:sigma=1"},
    }
    return parse_job(content, "init")
