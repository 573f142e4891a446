"""The maps of a calibration: fitting them from moments, storing them under numbers, and loading them."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deepot.autoencoder import LoadedAutoencoder
from deepot.transport import Moments, TransportMap, fit_map
from pipeline.calibration.paths import CalibrationPaths, calibration_of_run
from pipeline.calibration.sides import Side
from pipeline.calibration.stored_moments import read_map_statistics, read_moment_blocks, read_tone_curve
from pipeline.calibration.tasks import MomentsTask, list_shard_numbers
from pipeline.config import MAP_PLACEHOLDER, Job, parse_job
from pipeline.errors import RunError
from pipeline.runs import RunPaths, check_lease, list_numbered_files, require_run
from pipeline.storage import create_if_absent, read, write

log = logging.getLogger(__name__)


def fit_and_store_map(
    job: Job,
    paths: CalibrationPaths,
    autoencoder: LoadedAutoencoder,
    source: Sequence[Moments],
    reference: Sequence[Moments],
    statistics: tuple[Any, Any] | None = None,
    shard_counts: Mapping[str, int] | None = None,
    measure: Callable[[TransportMap], TransportMap] | None = None,
) -> TransportMap:
    """Fit a map and store it as the latest one of the calibration, unless it equals the latest one already.

    Args:
        job: the job.
        paths: the folder of the calibration.
        autoencoder: the autoencoder.
        source: blocks of moments of the source side.
        reference: blocks of moments of the reference side.
        statistics: the statistics of both sides that the kind of map is fitted from; None if it needs only moments.
        shard_counts: number of shards that the moments are from, by side.
        measure: returns the fitted map with what is measured of it; None to store it without gains, error curves and
            tests.

    Raises:
        RunError: another driver has just stored another map, or has taken over the lease of the calibration.
    """
    fitted = _fit(job, paths, autoencoder, source, reference, statistics)
    if fitted.info.shrinkage_factor == 0:
        log.warning(
            "the two sets differ by no more than chance, so the map does nothing and results will be the restored "
            "photos: give more photos, pairs (calibration.degradation), or a smaller transport.shrinkage_se"
        )
    if measure is not None:
        fitted = measure(fitted)
    provenance = json.dumps(dict(shard_counts or {}), sort_keys=True).encode()
    check_lease(paths)
    write(paths.map_provenance(fitted.sha256), provenance)  # before the map, so that no map lacks it
    number = len(list_run_maps(paths))
    data = fitted.to_bytes()
    if (not number or read(paths.map(number)) != data) and not create_if_absent(paths.map(number + 1), data):
        raise RunError(
            f"{paths.map(number + 1)} is not the map that these statistics give: another driver, or another version of "
            "deepot, has just fitted it; run the same command again"
        )
    return fitted


def fit_map_to_tasks(tasks: Sequence[MomentsTask], autoencoder: LoadedAutoencoder) -> TransportMap:
    """Fit a map to the statistics of some tasks of a calibration from pairs, which are stored."""
    job, paths = tasks[0].job, tasks[0].paths
    source, reference = (
        read_moment_blocks(paths, side, list_shard_numbers(tasks, side)) for side in (Side.SOURCE, Side.REFERENCE)
    )
    return _fit(job, paths, autoencoder, source, reference, read_map_statistics(tasks))


def _fit(
    job: Job,
    paths: CalibrationPaths,
    autoencoder: LoadedAutoencoder,
    source: Sequence[Moments],
    reference: Sequence[Moments],
    statistics: tuple[Any, Any] | None,
) -> TransportMap:
    return fit_map(
        source,
        reference,
        autoencoder=autoencoder.name,
        autoencoder_sha256=autoencoder.sha256,
        patch_size=job.transport.patch_size,
        calibration=job.calibration_kind,
        shrinkage_se=None if job.transport.shrinkage_se == "auto" else job.transport.shrinkage_se,
        kind=job.transport.map_kind,
        statistics=statistics,
        tone=read_tone_curve(job, paths),
    )


def list_run_maps(paths: CalibrationPaths) -> list[str]:
    """List the URIs of the maps of a calibration, the latest one last."""
    return [uri for _, uri in list_numbered_files(paths.maps_folder, "map", "safetensors")]


def read_fitted_shard_counts(paths: CalibrationPaths, transport: TransportMap) -> dict[str, int]:
    """Read from how many shards of each side a map of the calibration was fitted.

    Raises:
        RunError: there is no record of it, or the record holds something else.
    """
    uri = paths.map_provenance(transport.sha256)
    try:
        found = json.loads(read(uri))
    except FileNotFoundError as error:
        raise RunError(
            f"{uri} is missing, so nobody knows which photos the map was fitted from: name the map in the job"
        ) from error
    except (ValueError, RecursionError):
        found = None
    counts: dict[str, int] = found if isinstance(found, dict) else {}
    if not all(isinstance(counts.get(side), int) for side in (Side.SOURCE, Side.REFERENCE)):
        raise RunError(f"{uri} does not list the photos that the map was fitted from: name the map in the job")
    return counts


def find_map_uri(job: Job, paths: CalibrationPaths) -> str:
    """Return the URI of the map that a job applies, or of its first one if none is fitted yet.

    With `{map}` in its output URI a job applies the latest map of its calibration. Without it all results must be of
    one map, so the job applies the first one, whatever other jobs that share the calibration have fitted since.
    """
    if job.map is not None:
        return job.map
    uris = list_run_maps(paths) or [paths.map()]
    return uris[-1] if MAP_PLACEHOLDER in job.output.uri else uris[0]


def load_map(job: Job, paths: CalibrationPaths) -> TransportMap | None:
    """Load the map that a job applies (see `find_map_uri`); None if none is fitted yet.

    Raises:
        RunError: the map that the job names does not exist.
        MapError: it is not a map.
    """
    uri = find_map_uri(job, paths)
    try:
        return TransportMap.from_bytes(read(uri), job.map or uri)
    except FileNotFoundError as error:
        if job.map is None:
            return None
        raise RunError(f"map {job.map}: there is no such file") from error


def load_map_of_run(run: RunPaths) -> TransportMap:
    """Load the map that the job of a run applies.

    Raises:
        RunError: the folder is not that of a run, or the run has no map yet.
        MapError: the file is not a map.
    """
    require_run(run)
    job = parse_job(json.loads(read(run.run_json))["job"], run.run_json)
    transport = load_map(job, CalibrationPaths("") if job.map else calibration_of_run(run))
    if transport is None:
        raise RunError(f"{run.uri} has no map yet: run 'deepot fit' or 'deepot run' first")
    return transport
