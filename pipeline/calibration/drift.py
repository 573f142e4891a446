"""Drift: how far restored photos have moved since a map was fitted from them, and what is made of it."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from deepot.autoencoder.autoencoder import Codec
from deepot.transport.drift import choice_variance, moved
from deepot.transport.moments import Moments, merge_in_order
from deepot.transport.transport_map import Calibration, TransportMap
from pipeline.calibration.maps import basis_of, fit, stored_map
from pipeline.calibration.moments import REFERENCE, SOURCE, Task, blocks, levels, merged, shards
from pipeline.config.job import Job, Refit
from pipeline.runs.paths import Run
from pipeline.storage.folders import names
from pipeline.storage.objects import create, join, now, put, read

log = logging.getLogger(__name__)

Blocks = tuple[list[Moments], list[Moments]]


@dataclass(frozen=True)
class Drift:
    """The source side of a calibration now, against what it was when the map was fitted.

    Distances are W2 between Gaussians of latent patches (`drift`). What has moved is judged by all photos
    together: that is also all that a new map would be fitted from.

    Attributes:
        map_sha256: of the map.
        images: photos that the map was fitted from.
        new_images: photos that have come since.
        new: distance of the new photos from those.
        merged: distance of all photos from those.
        chance: how much of that is to be expected by the choice of photos.
        share: what is beyond chance, as a share of the map's way; compared with `transport.drift_limit`.
        way: distance that the map bridges, from restored to natural photos.
        refitted: whether another map was fitted.
    """

    map_sha256: str
    images: int
    new_images: int = 0
    new: float = 0.0
    merged: float = 0.0
    chance: float = 0.0
    share: float = 0.0
    way: float = 0.0
    refitted: bool = False

    @property
    def told(self) -> dict[str, object]:
        """What a scheduler is told."""
        return asdict(self)


def follow(job: Job, run: Run, codec: Codec, pending: Sequence[Task], gather: Callable[[], Blocks]) -> Drift:
    """Keep the map of a run up with its calibration: fit the first one, and further ones where the job says so.

    A job that asks to follow drift, and whose calibration does not see its input, is warned.

    Args:
        job: the job.
        run: its run.
        codec: the autoencoder.
        pending: all tasks of the statistics.
        gather: gathers the moments that are missing, and gives all of them; called only where there are new photos.
    """
    _warn(job)
    stored = stored_map(job, run)
    now_there = {side: len(shards(pending, side)) for side in (SOURCE, REFERENCE)}
    before = basis_of(run, stored) if stored else {}
    if stored and before == now_there:
        return Drift(stored.sha256, stored.info.source_images, way=stored.info.wasserstein2)
    found = gather()
    if stored:
        drift = _measured(run, stored, shards(pending, SOURCE), before[SOURCE])
        where = run.drift(stored.sha256, now_there[SOURCE])
        create(where, _record(drift))
        if not _wanted(job, drift):
            return drift
    mixture = levels(pending) if job.transport.components > 1 else None
    fitted = fit(job, run, codec, *found, mixture, now_there)
    if not stored:
        return Drift(fitted.sha256, fitted.info.source_images, way=fitted.info.wasserstein2)
    if fitted.sha256 != stored.sha256:
        drift = replace(drift, refitted=True)
        put(where, _record(drift))
    return drift


def drifts(run: Run) -> list[dict[str, Any]]:
    """What was noticed whenever photos were added to the calibration, in the order of time."""
    found = [json.loads(read(join(run.drift(), name))) for name in names(run.drift()) if name.endswith(".json")]
    return sorted(found, key=lambda record: (record["images"] + record["new_images"], record["noticed"]))


def _warn(job: Job) -> None:
    """Say so where `refit: drift` is likely to be a mistake: nothing of the input is in the calibration."""
    if job.transport.refit is Refit.DRIFT and job.calibration is Calibration.CONTENT_MATCHED:
        log.warning(
            "transport.refit is drift, but with reference.images and source.degrade only new photos of the reference "
            "can move the map, and new input never does: leave out reference to calibrate from the input"
        )


def _measured(run: Run, stored: TransportMap, numbers: Sequence[int], before: int) -> Drift:
    """The shards of the source side now, against the first so many of them."""
    way = stored.info.wasserstein2
    drift = Drift(stored.sha256, stored.info.source_images, way=way)
    if not numbers[before:] or (new := merged(run, SOURCE, numbers[before:])).count < 2:
        return drift
    old = blocks(run, SOURCE, numbers[:before])
    found = moved(merge_in_order(old), new, choice_variance(old))
    far = found.beyond_chance
    share = far / way if way else float(far > 0)  # of a map that goes nowhere any move is all of its way
    return replace(drift, new_images=new.images, new=found.apart, merged=found.merged, chance=found.chance, share=share)


def _record(drift: Drift) -> bytes:
    return json.dumps({"noticed": now()} | drift.told, sort_keys=True).encode()


def _wanted(job: Job, drift: Drift) -> bool:
    refit, limit = job.transport.refit, job.transport.drift_limit
    return refit is Refit.ALWAYS or (refit is Refit.DRIFT and drift.share > limit)
