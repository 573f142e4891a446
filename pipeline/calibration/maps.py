"""Fit: the driver's one computation, from merged moments to a map; the maps of a run are numbered."""

import json
import logging
from collections.abc import Mapping, Sequence

from deepot.autoencoder.autoencoder import LoadedAutoencoder
from deepot.transport.binned_moments import BinnedMoments
from deepot.transport.mixture_fit import fit_mixture_map
from deepot.transport.moments import Moments
from deepot.transport.transport_map import TransportMap, fit_map
from pipeline.config.job import Job
from pipeline.errors import RunError
from pipeline.runs.numbered_files import list_numbered_files
from pipeline.runs.paths import RunPaths
from pipeline.storage.objects import absolute_uri, create_if_absent, read, write

log = logging.getLogger(__name__)


def fit_and_store_map(
    job: Job,
    run: RunPaths,
    autoencoder: LoadedAutoencoder,
    source: Sequence[Moments],
    reference: Sequence[Moments],
    binned_moments: tuple[BinnedMoments, BinnedMoments] | None = None,
    shard_counts: Mapping[str, int] | None = None,
) -> TransportMap:
    """Fit a map from blocks of moments, for a mixture also from levels of both sides, and store it as the run's latest.

    Where it is the one that the run has already, none is added.

    Args:
        job: the job.
        run: its run.
        autoencoder: the autoencoder.
        source: blocks of the source side.
        reference: blocks of the reference side.
        binned_moments: of both sides, for a mixture.
        shard_counts: how many shards of a side these are.

    Raises:
        RunError: another driver has just stored another map.
    """
    fitted = fit_map(
        source,
        reference,
        autoencoder=autoencoder.name,
        autoencoder_sha256=autoencoder.sha256,
        patch_size=job.transport.patch_size,
        calibration=job.calibration_kind,
        shrinkage_se=None if job.transport.doubt == "auto" else job.transport.doubt,
    )
    if binned_moments:
        fitted = fit_mixture_map(fitted, *binned_moments, job.transport.components)
    if fitted.info.shrinkage_factor == 0:
        log.warning(
            "the two sets differ by no more than chance, so the map does nothing and results will be the restored "
            "photos: give more photos, pairs (source.degrade), or a smaller transport.doubt"
        )
    write(
        run.map_provenance(fitted.sha256), json.dumps(dict(shard_counts or {}), sort_keys=True).encode()
    )  # first: no map is without
    number = len(list_run_maps(run))
    data = fitted.to_bytes()
    if (not number or read(run.map(number)) != data) and not create_if_absent(run.map(number + 1), data):
        raise RunError(
            f"{run.map(number + 1)} holds another map than these statistics give: another driver has just fitted it, "
            "or another version of deepot; run the same command again"
        )
    return fitted


def list_run_maps(run: RunPaths) -> list[str]:
    """URIs of the maps of a run, the latest last."""
    return [uri for _, uri in list_numbered_files(run.uri, "map", "safetensors")]


def read_fitted_shard_counts(run: RunPaths, transport: TransportMap) -> dict[str, int]:
    """How many shards of each side a map of the run was fitted from.

    Raises:
        RunError: nothing is known of that.
    """
    try:
        found: dict[str, int] = json.loads(read(run.map_provenance(transport.sha256)))
    except FileNotFoundError as error:
        raise RunError(
            f"{run.uri} does not say what its latest map was fitted from: name the map in the job"
        ) from error
    return found


def list_map_uris(job: Job, run: RunPaths) -> list[str]:
    """Where the maps lie that a run has used, the latest last: in its folder, unless the job names one."""
    return list_run_maps(run) if job.map is None else [absolute_uri(job.map)]


def find_latest_map_uri(job: Job, run: RunPaths) -> str:
    """Where the latest map of a run lies, or will lie where there is none yet."""
    return (list_map_uris(job, run) or [run.map()])[-1]


def load_map(job: Job, run: RunPaths) -> TransportMap | None:
    """The latest map of a run, the one the job names, or None where none is fitted yet.

    Raises:
        RunError: the map that the job names does not exist.
        MapError: it is not a map.
    """
    uri = find_latest_map_uri(job, run)
    try:
        return TransportMap.from_bytes(read(uri), job.map or uri)
    except FileNotFoundError as error:
        if job.map is None:
            return None
        raise RunError(f"map {job.map}: there is no such file") from error
