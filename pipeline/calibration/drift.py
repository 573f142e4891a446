"""The drift of a calibration: how far the restored photos have moved since a map was fitted from them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from deepot.transport import TransportMap, estimate_sampling_variance, measure_drift_distance, merge_in_order
from pipeline.calibration.paths import CalibrationPaths
from pipeline.calibration.sides import Side
from pipeline.calibration.stored_moments import read_merged_moments, read_moment_blocks
from pipeline.storage import join_uri, list_names, read, utc_timestamp


@dataclass(frozen=True)
class Drift:
    """The source side of a calibration now, compared with the photos that a map was fitted from.

    Distances are W2 between Gaussians of latent patches. The drift is judged by all photos together, as a new map
    would be fitted from all of them.

    Attributes:
        map_sha256: SHA-256 of the map.
        images: photos that the map was fitted from.
        new_images: photos that were added since.
        new_distance: distance of the new photos from those of the map.
        merged_distance: distance of all photos from those of the map.
        expected_by_chance: the part of `merged_distance` that the choice of photos explains.
        relative_drift: the drift beyond chance, as a fraction of `map_distance`; `transport.drift_limit` is its limit.
        map_distance: the distance that the map covers, from restored to natural photos.
        refitted: whether a new map was fitted.
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
        """All attributes, as JSON fields."""
        return asdict(self)

    def to_record(self) -> bytes:
        """Return the drift as the JSON of a drift record, with the time at which it was noticed."""
        return json.dumps({"noticed": utc_timestamp()} | self.json_fields, sort_keys=True).encode()


def measure_drift(paths: CalibrationPaths, current_map: TransportMap, numbers: Sequence[int], n_fitted: int) -> Drift:
    """Measure the drift of the source side since a map was fitted.

    Args:
        paths: the folder of the calibration.
        current_map: the map.
        numbers: the numbers of all shards of the source side, in order.
        n_fitted: how many of these shards the map was fitted from: the first ones.
    """
    map_distance = current_map.info.wasserstein2
    drift = Drift(current_map.sha256, current_map.info.source_images, map_distance=map_distance)
    if not numbers[n_fitted:] or (new := read_merged_moments(paths, Side.SOURCE, numbers[n_fitted:])).count < 2:
        return drift
    old = read_moment_blocks(paths, Side.SOURCE, numbers[:n_fitted])
    distance = measure_drift_distance(merge_in_order(old), new, estimate_sampling_variance(old))
    # if the map has no distance to cover, any drift is as large as the map
    relative_drift = distance.excess / map_distance if map_distance else float(distance.excess > 0)
    return replace(
        drift,
        new_images=new.images,
        new_distance=distance.new_vs_old,
        merged_distance=distance.all_vs_old,
        expected_by_chance=distance.sampling_rms,
        relative_drift=relative_drift,
    )


def read_drift_records(paths: CalibrationPaths) -> list[dict[str, Any]]:
    """Read what was noticed whenever photos were added to the calibration, in the order of time."""
    found = [
        json.loads(read(join_uri(paths.drift(), name))) for name in list_names(paths.drift()) if name.endswith(".json")
    ]
    return sorted(found, key=lambda record: (record["images"] + record["new_images"], record["noticed"]))
