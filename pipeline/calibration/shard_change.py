"""What a worker measures on a shard of photos once a map is fitted: what it changes, and the photos themselves."""

from collections.abc import Mapping

from deepot.inference import (
    N_SCORES,
    band_sides,
    measure_change,
    measure_energies,
    measure_latents,
    natural_test_dimension,
    score_photo,
)
from deepot.transport import ChangeByPhoto, EnergySums, MomentsByPhoto, TransportMap
from pipeline.calibration.natural_tests import PhotoState, list_states
from pipeline.calibration.shard_photos import CalibrationPhoto, store_sums
from pipeline.calibration.sides import Side
from pipeline.calibration.tasks import MomentsTask, MomentsTaskResult
from pipeline.storage import read
from pipeline.workers import Models, load_models


def compute_shard_change(task: MomentsTask) -> MomentsTaskResult:
    """Compute and store the sums that show what a task's map changes in its photos, which serve both sides.

    Nothing is stored if storage refuses photos and there is none that it is known to return.

    Raises:
        AccessDeniedError: storage refuses photos, and the one that it returned before, too.
    """
    models, transport = load_models(task.job, task.allow_code), _read_map(task)
    autoencoder, uri = models.autoencoder, task.paths.change_sums(task.map_sha256, task.shard.number)
    operator = transport.operator_on(autoencoder.device)

    def sums_of(photo: CalibrationPhoto) -> Mapping[str, ChangeByPhoto | MomentsByPhoto]:
        restored, natural, companion = photo.sides[Side.SOURCE], photo.sides[Side.REFERENCE], None
        if task.job.has_companion and photo.degraded is not None:
            companion = photo.degraded.resize(restored.height, restored.width)
        sums = measure_change(autoencoder, operator, restored, natural, transport.tone, companion)
        change = ChangeByPhoto.of_photo(sums, score_photo(restored))
        return {**_measure_states(task, models, photo), uri: change}

    empty = ChangeByPhoto.of_none(len(band_sides(autoencoder.factor)) + 1, N_SCORES)
    return store_sums(task, models, {**_empty_states(task, models), uri: empty}, sums_of)


def compute_shard_energies(task: MomentsTask) -> MomentsTaskResult:
    """Compute and store the band energies of a task's photos, which serve one side, and those of what the map changes.

    Nothing is stored if storage refuses photos and there is none that it is known to return.

    Raises:
        AccessDeniedError: storage refuses photos, and the one that it returned before, too.
    """
    models = load_models(task.job, task.allow_code)
    autoencoder = models.autoencoder
    operator = _read_map(task).operator_on(autoencoder.device) if task.side is Side.SOURCE else None
    uri = task.paths.energy_sums(task.map_sha256, task.side, task.shard.number)

    def sums_of(photo: CalibrationPhoto) -> Mapping[str, EnergySums | MomentsByPhoto]:
        energies = measure_energies(autoencoder, photo.sides[task.side], operator)
        return {**_measure_states(task, models, photo), uri: energies}

    empty = EnergySums.empty(len(band_sides(autoencoder.factor)))
    return store_sums(task, models, {**_empty_states(task, models), uri: empty}, sums_of)


def _empty_states(task: MomentsTask, models: Models) -> dict[str, MomentsByPhoto]:
    """Return the files of the moments that tests of natural photos are fitted to, without any photos."""
    empty = MomentsByPhoto(natural_test_dimension(models.autoencoder))
    return {_uri(task, state): empty for state in _states_of(task, models)}


def _measure_states(task: MomentsTask, models: Models, photo: CalibrationPhoto) -> dict[str, MomentsByPhoto]:
    """Return the moments of a photo in each state; nothing if it is too small in one, so that pairs remain pairs."""
    versions = {
        PhotoState.RESTORED: photo.sides.get(Side.SOURCE),
        PhotoState.DEGRADED: photo.degraded,
        PhotoState.NATURAL: photo.sides.get(Side.REFERENCE),
    }
    found = {}
    for state in _states_of(task, models):
        pixels = versions[state]
        if pixels is not None:
            found[_uri(task, state)] = MomentsByPhoto.of_photo(measure_latents(models.autoencoder, pixels))
    return found if all(each.photos for each in found.values()) else {}


def _states_of(task: MomentsTask, models: Models) -> list[PhotoState]:
    """Return the states in which the photos of a task are measured."""
    return list_states(models.calibration_restorer, task.side) if task.measures_states else []


def _uri(task: MomentsTask, state: PhotoState) -> str:
    return task.paths.moments_by_photo(task.map_sha256, state, task.shard.number)


def _read_map(task: MomentsTask) -> TransportMap:
    """Return the map of a task, whose change is to be measured."""
    uri = task.paths.unmeasured_map(task.map_sha256)
    return TransportMap.from_bytes(read(uri), uri)
