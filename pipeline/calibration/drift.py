"""Drift: how far restored photos have moved since a map was fitted from them, and what is made of it."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from deepot.autoencoder import LoadedAutoencoder
from deepot.transport import (
    CalibrationKind,
    Moments,
    TransportMap,
    estimate_sampling_variance,
    measure_drift_distance,
    merge_in_order,
)
from pipeline.calibration.maps import fit_and_store_map, load_map, read_fitted_shard_counts
from pipeline.calibration.moments import (
    REFERENCE_SIDE,
    SOURCE_SIDE,
    MomentsTask,
    list_shard_numbers,
    read_map_statistics,
    read_merged_moments,
    read_moment_blocks,
)
from pipeline.calibration.paths import CalibrationPaths
from pipeline.config import Job, RefitPolicy
from pipeline.storage import create_if_absent, join_uri, list_names, read, utc_timestamp, write

log = logging.getLogger(__name__)

MomentBlocks = tuple[list[Moments], list[Moments]]


@dataclass(frozen=True)
class Drift:
    """The source side of a calibration now, against what it was when the map was fitted.

    Distances are W2 between Gaussians of latent patches (`drift`). What has moved is judged by all photos
    together: that is also all that a new map would be fitted from.

    Attributes:
        map_sha256: of the map.
        images: photos that the map was fitted from.
        new_images: photos that have come since.
        new_distance: distance of the new photos from those.
        merged_distance: distance of all photos from those.
        expected_by_chance: how much of that is to be expected by the choice of photos.
        relative_drift: what is beyond chance, as a share of the map's way; compared with `transport.drift_limit`.
        map_distance: distance that the map bridges, from restored to natural photos.
        refitted: whether another map was fitted.
    """

    map_sha256: str
    images: int
    new_images: int = 0
    new_distance: float = 0.0
    merged_distance: float = 0.0
    expected_by_chance: float = 0.0
    relative_drift: float = 0.0
    map_distance: float = 0.0
    refitted: bool = False

    @property
    def json_fields(self) -> dict[str, object]:
        """What a scheduler is told."""
        return asdict(self)


def update_map(
    job: Job,
    paths: CalibrationPaths,
    autoencoder: LoadedAutoencoder,
    tasks: Sequence[MomentsTask],
    compute_moments: Callable[[], MomentBlocks],
) -> Drift:
    """Keep the map of a run up with its calibration: fit the first one, and further ones where the job says so.

    A job that asks to follow drift, and whose calibration does not see its input, is warned.

    Args:
        job: the job.
        paths: of the calibration.
        autoencoder: the autoencoder.
        tasks: all tasks of the statistics.
        compute_moments: gathers the moments that are missing, and gives all of them; called only where there are new photos.
    """
    _warn_if_input_unused(job)
    current_map = load_map(job, paths)
    shard_counts = {side: len(list_shard_numbers(tasks, side)) for side in (SOURCE_SIDE, REFERENCE_SIDE)}
    fitted_shard_counts = read_fitted_shard_counts(paths, current_map) if current_map else {}
    if current_map and fitted_shard_counts == shard_counts:
        return Drift(current_map.sha256, current_map.info.source_images, map_distance=current_map.info.wasserstein2)
    moment_blocks = compute_moments()
    if current_map:
        drift = _measure_drift(
            paths, current_map, list_shard_numbers(tasks, SOURCE_SIDE), fitted_shard_counts[SOURCE_SIDE]
        )
        record_uri = paths.drift(current_map.sha256, shard_counts[SOURCE_SIDE])
        create_if_absent(record_uri, _to_json(drift))
        if not _should_refit(job, drift):
            return drift
    fitted = fit_and_store_map(job, paths, autoencoder, *moment_blocks, read_map_statistics(tasks), shard_counts)
    if not current_map:
        return Drift(fitted.sha256, fitted.info.source_images, map_distance=fitted.info.wasserstein2)
    if fitted.sha256 != current_map.sha256:
        drift = replace(drift, refitted=True)
        write(record_uri, _to_json(drift))
    return drift


def read_drift_records(paths: CalibrationPaths) -> list[dict[str, Any]]:
    """What was noticed whenever photos were added to the calibration, in the order of time."""
    found = [
        json.loads(read(join_uri(paths.drift(), name))) for name in list_names(paths.drift()) if name.endswith(".json")
    ]
    return sorted(found, key=lambda record: (record["images"] + record["new_images"], record["noticed"]))


def _warn_if_input_unused(job: Job) -> None:
    """Say so where `refit: drift` is likely to be a mistake: nothing of the input is in the calibration."""
    if job.transport.refit is RefitPolicy.DRIFT and job.calibration_kind is CalibrationKind.PAIRED:
        log.warning(
            "transport.refit is drift, but with calibration.reference and calibration.degradation only new reference "
            "photos can change the map, never new input: leave out calibration.reference to calibrate from the input"
        )


def _measure_drift(paths: CalibrationPaths, current_map: TransportMap, numbers: Sequence[int], n_fitted: int) -> Drift:
    """The shards of the source side now, against the first so many of them."""
    map_distance = current_map.info.wasserstein2
    drift = Drift(current_map.sha256, current_map.info.source_images, map_distance=map_distance)
    if not numbers[n_fitted:] or (new := read_merged_moments(paths, SOURCE_SIDE, numbers[n_fitted:])).count < 2:
        return drift
    old = read_moment_blocks(paths, SOURCE_SIDE, numbers[:n_fitted])
    distance = measure_drift_distance(merge_in_order(old), new, estimate_sampling_variance(old))
    beyond_chance = distance.excess
    # where the map has no distance to cover, any drift is as large as the map
    relative_drift = beyond_chance / map_distance if map_distance else float(beyond_chance > 0)
    return replace(
        drift,
        new_images=new.images,
        new_distance=distance.new_vs_old,
        merged_distance=distance.all_vs_old,
        expected_by_chance=distance.sampling_rms,
        relative_drift=relative_drift,
    )


def _to_json(drift: Drift) -> bytes:
    return json.dumps({"noticed": utc_timestamp()} | drift.json_fields, sort_keys=True).encode()


def _should_refit(job: Job, drift: Drift) -> bool:
    refit, limit = job.transport.refit, job.transport.drift_limit
    return refit is RefitPolicy.ALWAYS or (refit is RefitPolicy.DRIFT and drift.relative_drift > limit)
