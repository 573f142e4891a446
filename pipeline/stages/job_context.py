"""An opened job: its models, and the folders of its run and of its calibration."""

from dataclasses import dataclass, field, replace

from deepot.transport import CalibrationKind
from pipeline.calibration import CalibrationPaths, load_map
from pipeline.config import FINGERPRINT_LENGTH, Job, output_folder
from pipeline.progress import NullProgress, Progress
from pipeline.runs import CALIBRATIONS_FOLDER, RUNS_FOLDER, RunPaths
from pipeline.stages.map_check import check_map
from pipeline.storage import join_uri, parent_uri
from pipeline.telemetry import TracedProgress, set_log_context
from pipeline.workers import Models, load_models


@dataclass(frozen=True)
class RunOptions:
    """How a command is executed; nothing of it changes a result, but for decisions about photos that were reviewed.

    Attributes:
        address: address of a Ray cluster; None uses this machine.
        allow_code: whether the job may name `module:factory`.
        overwrite: whether photos of other runs in the output folder may be overwritten.
        reapply_latest_map: whether the latest map replaces the results of the run's earlier maps.
        retry_failed: whether shards with retriable failures are processed again.
        progress: receives the number of finished images.
        metrics_port: port on 127.0.0.1 where Ray on this machine exports metrics; None leaves it to Ray.
        decisions: URI of a file of decisions that the run is to obey from now on; None for no new ones.
        fork_workers: whether local workers may be forked from this process, which has not computed anything with
            PyTorch yet; otherwise they are forked from a new process, which takes seconds to start.
    """

    address: str | None = None
    allow_code: bool = False
    overwrite: bool = False
    reapply_latest_map: bool = False
    retry_failed: bool = False
    progress: Progress = field(default_factory=NullProgress)
    metrics_port: int | None = None
    fork_workers: bool = False
    decisions: str | None = None


@dataclass(frozen=True)
class JobContext:
    """A job with its models and folders.

    Attributes:
        job: the job.
        options: how the command is executed.
        models: the loaded models.
        identities: SHA-256 of each model, and of the map that the job names, by name.
        fingerprint: the fingerprint of the run.
        run: the folder of the run.
        calibration: the folder of the statistics and maps, shared by all runs with the same calibration; nothing is
            written there for a job that names its map.
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
        """The folders whose files are never input: those of the results, the runs and the calibrations."""
        return self.job.output_root, parent_uri(self.run.uri), parent_uri(self.calibration.uri)

    @property
    def calibrates_from_input(self) -> bool:
        """Whether the map is fitted from photos of the input."""
        return self.job.map is None and self.job.calibration_kind is CalibrationKind.SELF

    def output_folder(self, map_sha256: str) -> str:
        """Return the URI of the folder of the results that a map gives in this run."""
        return output_folder(self.job.output.uri, map_sha256, self.fingerprint[:FINGERPRINT_LENGTH])


def open_run(job: Job, options: RunOptions) -> JobContext:
    """Load the models of a job and name the folders of its run and its calibration; nothing is written.

    Raises:
        DeepotError: a model or the map that the job names cannot be loaded, or the two do not fit together.
    """
    models = load_models(job, options.allow_code)
    identities = models.fingerprints()
    calibration_id = ""
    if job.map is not None:
        if (named_map := load_map(job, CalibrationPaths(""))) is not None:
            named_map.check_autoencoder(models.autoencoder)
            check_map(job, named_map)
            identities["map"] = named_map.sha256
    else:
        calibration_id = job.calibration_fingerprint(models.fingerprints())[:FINGERPRINT_LENGTH]
    fingerprint = job.run_fingerprint(identities)
    runs = job.run or join_uri(job.output_root, RUNS_FOLDER)
    # beside the output folder: jobs with another output folder use the same statistics and maps
    shared = job.run or join_uri(parent_uri(job.output_root) or job.output_root, RUNS_FOLDER)
    run = RunPaths(join_uri(runs, fingerprint[:FINGERPRINT_LENGTH]))
    set_log_context(run=run.uri)
    calibration = CalibrationPaths(join_uri(shared, CALIBRATIONS_FOLDER, calibration_id))
    options = replace(options, progress=TracedProgress(options.progress))
    return JobContext(job, options, models, identities, fingerprint, run, calibration)
