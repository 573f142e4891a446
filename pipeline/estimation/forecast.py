"""Forecast: what is left of a job, in hours, bytes and requests, and how sure that is."""

from dataclasses import dataclass

from pipeline.estimation.stratified_sampling import TotalEstimate


@dataclass(frozen=True)
class JobEstimate:
    """What is left of a job will take this.

    Attributes:
        images: to transport.
        calibration_images: to gather statistics of.
        pilot_photos: photos that were tried out.
        strata: by size, that they were drawn from.
        pilot_s: seconds that it took to try them out.
        workers: that share the work.
        pilot_workers: that worked at the same time for the trial.
        cpus: of a worker.
        gpus: of a worker.
        apply_s: seconds of workers in apply.
        calibration_s: seconds of workers in the statistics.
        fit_s: seconds of the driver, for fitting the map.
        result_bytes: of all results.
        run_folder_bytes: of manifest rows and moments.
        reads: requests that read photos.
        writes: requests that write results and the run's own files.
        error_counts: photos of the sample that failed or were skipped, by error code.
    """

    images: int
    calibration_images: int
    pilot_photos: int
    strata: int
    pilot_s: float
    workers: int
    pilot_workers: int
    cpus: float
    gpus: float
    apply_s: TotalEstimate
    calibration_s: TotalEstimate
    fit_s: float
    result_bytes: TotalEstimate
    run_folder_bytes: float
    reads: int
    writes: int
    error_counts: dict[str, int]

    @property
    def worker_hours(self) -> TotalEstimate:
        """Hours of all workers together."""
        return (self.apply_s + self.calibration_s) * (1 / 3600)

    @property
    def hours(self) -> TotalEstimate:
        """From the first photo to the last, while all workers have work."""
        return self.worker_hours * (1 / self.workers) + TotalEstimate(self.fit_s / 3600, 0)
