"""The folder that an export writes: empty at the start, and apart from the results of runs."""

from pipeline.config import Job, fixed_folder
from pipeline.errors import ConfigError
from pipeline.runs import read_output_owner
from pipeline.storage import absolute_uri, iter_names


def prepare_folder(folder: str, job: Job) -> str:
    """Return the absolute URI of a folder, once it is clear that an export may be written there.

    Args:
        folder: as it was named.
        job: the job of the run.

    Raises:
        ConfigError: it holds something, or lies in a folder of results, or around it.
    """
    uri = absolute_uri(folder).rstrip("/")
    if owner := read_output_owner(uri):
        raise ConfigError(f"{uri} holds the results of {owner}, which stay as they are: name another folder")
    root = fixed_folder(job.output.uri)
    if f"{uri}/".startswith(f"{root}/") or f"{root}/".startswith(f"{uri}/"):
        raise ConfigError(f"{uri} is in the output folder {root}, or holds it: name another folder")
    if name := next(iter_names(uri), None):
        raise ConfigError(
            f"{uri} is not empty, it has '{name}' at least: name another folder, or delete this one if it is an export "
            "that was not finished"
        )
    return uri
