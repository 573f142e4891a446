"""A job that has been opened: its models, and the folders of its run and of its calibration."""

import importlib.metadata
import json
import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deepot.transport import CalibrationKind
from pipeline.calibration import CalibrationPaths, list_run_maps, load_map
from pipeline.config import FINGERPRINT_LENGTH, Job, OutputLayout, Photos, output_folder
from pipeline.errors import ConfigError
from pipeline.progress import NullProgress, Progress
from pipeline.runs import CALIBRATIONS_FOLDER, RUNS_FOLDER, RunPaths, check_output_claim
from pipeline.sources import find_images
from pipeline.storage import create_if_absent, join_uri, parent_uri, utc_timestamp
from pipeline.telemetry import set_log_context
from pipeline.workers import Models, load_models

log = logging.getLogger(__name__)

_PACKAGES = ("deepot", "torch", "diffusers", "ray", "pyarrow", "numpy", "pillow")


@dataclass(frozen=True)
class RunOptions:
    """How a command is executed; none of it changes results.

    Attributes:
        address: address of a Ray cluster; None starts Ray on this machine.
        allow_code: whether the job may name `module:factory`.
        overwrite: whether photos in the output folder that are not of this run may be overwritten.
        reapply_latest_map: whether results of earlier maps of the run are made again with the latest.
        retry_failed: whether shards with failures that may succeed another time are done again.
        progress: receives the number of finished images.
        metrics_port: port on 127.0.0.1 where Ray on this machine exports metrics; None leaves it to Ray.
    """

    address: str | None = None
    allow_code: bool = False
    overwrite: bool = False
    reapply_latest_map: bool = False
    retry_failed: bool = False
    progress: Progress = field(default_factory=NullProgress)
    metrics_port: int | None = None


@dataclass(frozen=True)
class JobContext:
    """A job with its models and folders.

    Attributes:
        job: the job.
        options: how the command is executed.
        models: the loaded models.
        identities: fingerprints of the models, and of the map that the job names, by name.
        fingerprint: the fingerprint of the run.
        run: the folder of the run.
        calibration: the folder of the statistics and maps, shared by all runs with the same calibration; for a job
            that names its map, it is never written.
    """

    job: Job
    options: RunOptions
    models: Models
    identities: dict[str, str]
    fingerprint: str
    run: RunPaths
    calibration: CalibrationPaths

    @property
    def excluded_folders(self) -> tuple[str, ...]:
        """Folders whose files are never input: the results, and what deepot keeps itself."""
        return self.job.output_root, parent_uri(self.run.uri), parent_uri(self.calibration.uri)

    @property
    def needs_exclusive_driver(self) -> bool:
        """Whether a second driver would overwrite files that rows of the first one name."""
        return self.job.output.layout is not OutputLayout.FILES

    @property
    def calibrates_from_input(self) -> bool:
        """Whether the job is calibrated from its input."""
        return self.job.map is None and self.job.calibration_kind is CalibrationKind.SELF

    def output_folder(self, map_sha256: str) -> str:
        """The folder of the results that a map makes in this run."""
        return output_folder(self.job.output.uri, map_sha256, self.fingerprint[:FINGERPRINT_LENGTH])


def open_run(job: Job, options: RunOptions) -> JobContext:
    """Load a job's models and find the folders of its run and its calibration; writes nothing.

    Raises:
        DeepotError: a model cannot be loaded.
    """
    models = load_models(job, options.allow_code)
    identities = models.fingerprints()
    calibration_id = ""
    if job.map is not None:
        named_map = load_map(job, CalibrationPaths(""))
        identities["map"] = named_map.sha256 if named_map else ""
    else:
        calibration_id = job.calibration_fingerprint(models.fingerprints())[:FINGERPRINT_LENGTH]
    fingerprint = job.run_fingerprint(identities)
    runs = job.run or join_uri(job.output_root, RUNS_FOLDER)
    # beside the output folder, so that another output folder finds the same statistics and map
    shared = job.run or join_uri(parent_uri(job.output_root) or job.output_root, RUNS_FOLDER)
    run = RunPaths(join_uri(runs, fingerprint[:FINGERPRINT_LENGTH]))
    set_log_context(run=run.uri)
    calibration = CalibrationPaths(join_uri(shared, CALIBRATIONS_FOLDER, calibration_id))
    return JobContext(job, options, models, identities, fingerprint, run, calibration)


def prepare_run(context: JobContext) -> None:
    """Check what can be refused before any work, and then register the run and its calibration in storage.

    Nothing is written where the job is refused.

    Raises:
        NothingFoundError: the input, or what the job calibrates from, holds no photos.
        StorageError: it cannot be listed, or the run's folder cannot be written.
        ConfigError: the results would lie among the photos of the calibration.
        RunError: the output folder belongs to another run or holds other photos.
    """
    job, options = context.job, context.options
    _require_photos(job.input, "input", context.excluded_folders)
    given = job.calibration
    if job.map is None and given is not None:
        is_fitted = bool(list_run_maps(context.calibration))
        for photos, label in ((given.reference, "calibration.reference"), (given.restored, "calibration.restored")):
            if photos is None:
                continue
            if (job.output_root + "/").startswith(photos.images.rstrip("/") + "/"):
                raise ConfigError(
                    f"output.uri {job.output.uri} lies in {label} ({photos.images}), so results would become photos "
                    "of the calibration: name an output folder outside of it"
                )
            if not is_fitted:
                _require_photos(photos, label)
    if not options.overwrite and "{map}" not in job.output.uri:
        check_output_claim(context.output_folder(""), context.run, job.output.layout)
    if job.map is None:
        calibration_json = {
            "fingerprint": job.calibration_fingerprint(context.models.fingerprints()),
            "models": context.models.fingerprints(),
            "job": job.model_dump(mode="json"),
            "started": utc_timestamp(),
        }
        create_if_absent(context.calibration.calibration_json, _to_json(calibration_json))
    run_json = {
        "name": job.name,
        "fingerprint": context.fingerprint,
        "calibration": context.calibration.uri if job.map is None else None,
        "models": context.identities,
        "job": job.model_dump(mode="json"),
        "versions": {name: _package_version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        "started": utc_timestamp(),
    }
    create_if_absent(context.run.run_json, _to_json(run_json))


def _require_photos(photos: Photos, label: str, excluded_folders: Sequence[str] = ()) -> None:
    """Look for the first photo of a collection; the errors are those of `find_images`."""
    next(find_images(photos.images, label, excluded_folders, photos.exclude))


def _to_json(values: Mapping[str, object]) -> bytes:
    return json.dumps(values, indent=2, sort_keys=True).encode()


def _package_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
