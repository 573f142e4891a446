"""Checking that a map can do what a job wants of it."""

from deepot.transport import TransportMap
from pipeline.config import Job
from pipeline.errors import RunError


def check_map(job: Job, transport: TransportMap) -> None:
    """Check that a map has what the α and the companion of a job need.

    Raises:
        MapError: it was fitted without the pairs that a goal needs.
        RunError: it was fitted without companions, and the job has them; or with companions, and the job has none for
            an α above 1.
    """
    alpha = transport.resolve_alpha(job.transport.alpha, job.transport.mode)
    if job.has_companion and transport.companion_weight is None:
        raise RunError(
            "transport.companion is input, but the map was fitted without companions: fit it with transport.companion, "
            "or leave that out"
        )
    if not job.has_companion and transport.companion_weight is not None and alpha > 1:
        raise RunError(
            f"alpha is {alpha:g}, for which the map mixes restored photos with the restorer's input: set "
            "transport.companion to input, or give an alpha up to 1"
        )
