"""Fit: the driver's one computation, from merged moments to a map; the maps of a run are numbered."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from deepot.autoencoder import LoadedAutoencoder
from deepot.transport import Moments, TransportMap, fit_map
from pipeline.calibration.paths import CalibrationPaths
from pipeline.config import Job
from pipeline.errors import RunError
from pipeline.runs import list_numbered_files
from pipeline.storage import create_if_absent, join_uri, read, write

log = logging.getLogger(__name__)


def fit_and_store_map(
    job: Job,
    paths: CalibrationPaths,
    autoencoder: LoadedAutoencoder,
    source: Sequence[Moments],
    reference: Sequence[Moments],
    statistics: tuple[Any, Any] | None = None,
    shard_counts: Mapping[str, int] | None = None,
) -> TransportMap:
    """Fit a map and store it as the run's latest, unless it equals the latest map already.

    Args:
        job: the job.
        paths: of the calibration.
        autoencoder: the autoencoder.
        source: blocks of the source side.
        reference: blocks of the reference side.
        statistics: of both sides, that the kind of map is fitted from; None if it needs only moments.
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
        shrinkage_se=None if job.transport.shrinkage_se == "auto" else job.transport.shrinkage_se,
        kind=job.transport.map_kind,
        statistics=statistics,
    )
    if fitted.info.shrinkage_factor == 0:
        log.warning(
            "the two sets differ by no more than chance, so the map does nothing and results will be the restored "
            "photos: give more photos, pairs (calibration.degradation), or a smaller transport.shrinkage_se"
        )
    write(
        paths.map_provenance(fitted.sha256), json.dumps(dict(shard_counts or {}), sort_keys=True).encode()
    )  # first: no map is without
    number = len(list_run_maps(paths))
    data = fitted.to_bytes()
    if (not number or read(paths.map(number)) != data) and not create_if_absent(paths.map(number + 1), data):
        raise RunError(
            f"{paths.map(number + 1)} holds another map than these statistics give: another driver has just fitted it, "
            "or another version of deepot; run the same command again"
        )
    return fitted


def list_run_maps(paths: CalibrationPaths) -> list[str]:
    """URIs of the maps of a run, the latest last."""
    return [uri for _, uri in list_numbered_files(join_uri(paths.uri, "maps"), "map", "safetensors")]


def read_fitted_shard_counts(paths: CalibrationPaths, transport: TransportMap) -> dict[str, int]:
    """How many shards of each side a map of the run was fitted from.

    Raises:
        RunError: nothing is known of that.
    """
    try:
        found: dict[str, int] = json.loads(read(paths.map_provenance(transport.sha256)))
    except FileNotFoundError as error:
        raise RunError(
            f"{paths.uri} does not say what its latest map was fitted from: name the map in the job"
        ) from error
    return found


def list_map_uris(job: Job, paths: CalibrationPaths) -> list[str]:
    """Where the maps lie that a run has used, the latest last: in its folder, unless the job names one."""
    return list_run_maps(paths) if job.map is None else [job.map]


def find_latest_map_uri(job: Job, paths: CalibrationPaths) -> str:
    """Where the latest map of a run lies, or will lie where there is none yet."""
    return (list_map_uris(job, paths) or [paths.map()])[-1]


def load_map(job: Job, paths: CalibrationPaths) -> TransportMap | None:
    """The latest map of a run, the one the job names, or None where none is fitted yet.

    Raises:
        RunError: the map that the job names does not exist.
        MapError: it is not a map.
    """
    uri = find_latest_map_uri(job, paths)
    try:
        return TransportMap.from_bytes(read(uri), job.map or uri)
    except FileNotFoundError as error:
        if job.map is None:
            return None
        raise RunError(f"map {job.map}: there is no such file") from error
