"""Fit: the driver's one computation, from merged moments to a map; the maps of a run are numbered."""

import json
import logging
from collections.abc import Mapping, Sequence

from deepot.autoencoder.autoencoder import Codec
from deepot.transport.binned_moments import Levels
from deepot.transport.mixture_fit import fit_mixture
from deepot.transport.moments import Moments
from deepot.transport.transport_map import TransportMap, fit_map
from pipeline.config.job import Job
from pipeline.errors import RunError
from pipeline.runs.numbered_files import series
from pipeline.runs.paths import Run
from pipeline.storage.objects import absolute, create, put, read

log = logging.getLogger(__name__)


def fit(
    job: Job,
    run: Run,
    codec: Codec,
    source: Sequence[Moments],
    reference: Sequence[Moments],
    levels: tuple[Levels, Levels] | None = None,
    basis: Mapping[str, int] | None = None,
) -> TransportMap:
    """Fit a map from blocks of moments, for a mixture also from levels of both sides, and store it as the run's latest.

    Where it is the one that the run has already, none is added.

    Args:
        job: the job.
        run: its run.
        codec: the autoencoder.
        source: blocks of the source side.
        reference: blocks of the reference side.
        levels: of both sides, for a mixture.
        basis: how many shards of a side these are.

    Raises:
        RunError: another driver has just stored another map.
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
    put(run.basis(fitted.sha256), json.dumps(dict(basis or {}), sort_keys=True).encode())  # first: no map is without
    number = len(maps(run))
    data = fitted.to_bytes()
    if (not number or read(run.map(number)) != data) and not create(run.map(number + 1), data):
        raise RunError(
            f"{run.map(number + 1)} holds another map than these statistics give: another driver has just fitted it, "
            "or another version of deepot; run the same command again"
        )
    return fitted


def maps(run: Run) -> list[str]:
    """URIs of the maps of a run, the latest last."""
    return [uri for _, uri in series(run.uri, "map", "safetensors")]


def basis_of(run: Run, transport: TransportMap) -> dict[str, int]:
    """How many shards of each side a map of the run was fitted from.

    Raises:
        RunError: nothing is known of that.
    """
    try:
        found: dict[str, int] = json.loads(read(run.basis(transport.sha256)))
    except FileNotFoundError as error:
        raise RunError(
            f"{run.uri} does not say what its latest map was fitted from: name the map in the job"
        ) from error
    return found


def map_uris(job: Job, run: Run) -> list[str]:
    """Where the maps lie that a run has used, the latest last: in its folder, unless the job names one."""
    return maps(run) if job.map is None else [absolute(job.map)]


def map_uri(job: Job, run: Run) -> str:
    """Where the latest map of a run lies, or will lie where there is none yet."""
    return (map_uris(job, run) or [run.map()])[-1]


def stored_map(job: Job, run: Run) -> TransportMap | None:
    """The latest map of a run, the one the job names, or None where none is fitted yet.

    Raises:
        RunError: the map that the job names does not exist.
        MapError: it is not a map.
    """
    uri = map_uri(job, run)
    try:
        return TransportMap.from_bytes(read(uri), job.map or uri)
    except FileNotFoundError as error:
        if job.map is None:
            return None
        raise RunError(f"map {job.map}: there is no such file") from error
