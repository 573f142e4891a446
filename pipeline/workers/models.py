"""The models of a job, loaded once in each process: autoencoder, restorers, degradation."""

from dataclasses import dataclass
from functools import lru_cache

import torch

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import TileOptions
from deepot.restoration import DegradationSteps, Restorer, load_degradation, load_restorer
from deepot.transport import NaturalTest, TransportMap
from pipeline.config import Job


@dataclass(frozen=True)
class Models:
    """The loaded models of a job.

    Attributes:
        autoencoder: the autoencoder, on its device.
        restorer: the restorer of the input.
        calibration_restorer: the restorer of the degraded calibration photos.
        degradation: the degradation of the calibration photos; None if the job has none.
    """

    autoencoder: LoadedAutoencoder
    restorer: Restorer
    calibration_restorer: Restorer
    degradation: DegradationSteps | None

    def fingerprints(self) -> dict[str, str]:
        """Return the SHA-256 of each model by name, for the fingerprints of a job."""
        return {
            "autoencoder": self.autoencoder.sha256,
            "restorer": self.restorer.sha256,
            "calibration_restorer": self.calibration_restorer.sha256,
        }


@lru_cache(maxsize=1)
def load_models(job: Job, allow_code: bool) -> Models:
    """Load the models of a job; they stay in memory until those of another job are loaded.

    Raises:
        DeepotError: a model cannot be loaded.
    """
    set_torch_threads(job)
    dtype = None if job.compute.dtype == "auto" else job.compute.dtype
    restorer = load_restorer(job.restorer, allow_code=allow_code)
    return Models(
        autoencoder=load_autoencoder(job.autoencoder, dtype=dtype, allow_code=allow_code),
        restorer=restorer,
        calibration_restorer=restorer
        if job.calibration_restorer == job.restorer
        else load_restorer(job.calibration_restorer, allow_code=allow_code),
        degradation=load_degradation(job.calibration.degradation)
        if job.calibration and job.calibration.degradation
        else None,
    )


def find_natural_test(job: Job, restorer: Restorer, transport: TransportMap) -> NaturalTest | None:
    """Return the test by which photos are left as they are; None if the job transports all of them.

    It judges photos before they are restored. A restorer that enlarges has something to do for every photo.

    Args:
        job: the job.
        restorer: its restorer.
        transport: the map that it applies.
    """
    if job.transport.leave_natural == "off" or restorer.scale > 1:
        return None
    return transport.natural_tests.get("restored" if restorer.model is None else "degraded")


def any_models_loaded() -> bool:
    """Whether this process has loaded models, and so has computed with PyTorch: threads and GPUs survive no fork."""
    return load_models.cache_info().misses > 0


def set_torch_threads(job: Job) -> None:
    """Set the number of PyTorch's threads to that of the job; PyTorch keeps it for each calling thread."""
    torch.set_num_threads(job.compute.threads)


def tile_options(job: Job) -> TileOptions:
    """Return the tile sizes of a job, with `auto` resolved."""
    size, overlap = job.tiles.max_side, job.tiles.overlap
    return TileOptions(TileOptions.size if size == "auto" else size, None if overlap == "auto" else overlap)
