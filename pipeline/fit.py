"""Fit: the driver's one computation, from merged moments to the map of a run."""

import logging
from collections.abc import Sequence

from deepot.codec import Codec
from deepot.components import fit_mixture
from deepot.levels import Levels
from deepot.moments import Moments
from deepot.transport_map import TransportMap, fit_map
from pipeline.config import Job
from pipeline.errors import RunError
from pipeline.layout import Run
from pipeline.storage import absolute, create, exists, read

log = logging.getLogger(__name__)


def fit(
    job: Job,
    run: Run,
    codec: Codec,
    source: Sequence[Moments],
    reference: Sequence[Moments],
    levels: tuple[Levels, Levels] | None = None,
) -> TransportMap:
    """Fit the map of a run from blocks of moments, for a mixture also from levels of both sides, and store it.

    Raises:
        RunError: the run has another map already, which never happens with the same plan, models and code.
    """
    fitted = fit_map(
        source,
        reference,
        codec=codec.name,
        codec_sha256=codec.sha256,
        patch_size=job.transport.patch_size,
        calibration=job.calibration,
        doubt=None if job.transport.doubt == "auto" else job.transport.doubt,
    )
    if levels:
        fitted = fit_mixture(fitted, *levels, job.transport.components)
    if fitted.info.share == 0:
        log.warning(
            "the two sets differ by no more than chance, so the map does nothing and results will be the restored "
            "photos: give more photos, pairs (source.degrade), or a smaller transport.doubt"
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
