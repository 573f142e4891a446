"""Fit: the driver's one computation, from merged moments to the map of a run."""

from deepot.codec import Codec
from deepot.moments import Moments
from deepot.transport_map import TransportMap, fit_map
from pipeline.config import Calibration, Job
from pipeline.errors import RunError
from pipeline.layout import Run
from pipeline.storage import absolute, create, exists, read

UNPAIRED_IMAGES = 100
"""Images a side at which unpaired sets are drawn together by half; fewer are drawn together more."""


def shrinkage(job: Job, source: Moments, reference: Moments) -> float:
    """The weight by which the two sides are drawn together: given, or by calibration and number of images.

    Matched sets show the same scenes, so nothing but the restoration differs. Unpaired sets of n images (of the
    smaller side) differ by content too, by an amount that falls with n: the weight is 100 / (100 + n).
    """
    if job.transport.shrinkage != "auto":
        return job.transport.shrinkage
    if job.calibration is not Calibration.UNPAIRED:
        return 0.0
    return UNPAIRED_IMAGES / (UNPAIRED_IMAGES + min(source.images, reference.images))


def fit(job: Job, run: Run, codec: Codec, source: Moments, reference: Moments) -> TransportMap:
    """Fit the map of a run and store it.

    Raises:
        RunError: the run has another map already, which never happens with the same plan, models and code.
    """
    fitted = fit_map(
        source,
        reference,
        codec=codec.name,
        codec_sha256=codec.sha256,
        patch_size=job.transport.patch_size,
        calibration=job.calibration.value,
        shrinkage=shrinkage(job, source, reference),
    )
    if not create(run.map, fitted.to_bytes()):
        raise RunError(f"{run.map} holds another map than these statistics give; was it fitted by another version?")
    return fitted


def map_uri(job: Job, run: Run) -> str:
    """Where the map of a run lies: in its folder, unless the job names one."""
    return run.map if job.map is None else absolute(job.map)


def stored_map(job: Job, run: Run) -> TransportMap | None:
    """The map of a run, the one the job names, or None where none is fitted yet.

    Raises:
        RunError: the map that the job names does not exist.
        MapError: it is not a map.
    """
    if job.map is not None:
        try:
            return TransportMap.from_bytes(read(map_uri(job, run)), job.map)
        except FileNotFoundError as error:
            raise RunError(f"map {job.map}: there is no such file") from error
    return TransportMap.from_bytes(read(run.map), run.map) if exists(run.map) else None
