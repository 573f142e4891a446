"""Where credentials of results go: into files beside the results, or into signed copies of these in another folder."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.config import Job, OutputLayout, output_folder
from pipeline.errors import ConfigError
from pipeline.runs import RunPaths, read_output_owner
from pipeline.storage import absolute_uri, file_uri, join_uri, unescape_hashes

RESULT_CREDENTIALS_SUFFIX = ".result.c2pa"
"""Ends the name of a file with the credentials of a result; those of its input end with `.c2pa` alone."""
_EMBEDDABLE = ("image/jpeg", "image/png", "image/tiff", "image/webp", "image/avif")
_SIDECARS, _COPIES, _DIGITS = "beside", "embedded", 8


@dataclass(frozen=True)
class CredentialPlaces:
    """Where the credentials of a run's results go.

    Attributes:
        run: the run.
        job: its job.
        copies: folder of signed copies; None for files beside the results.
    """

    run: RunPaths
    job: Job
    copies: str | None = None

    @property
    def tables(self) -> str:
        """The folder of the tables; there is one for each folder of copies."""
        if self.copies is None:
            return self.run.credentials(_SIDECARS)
        digest = hashlib.sha256(self.copies.encode()).hexdigest()
        return self.run.credentials(f"{_COPIES}-{digest[:_DIGITS]}")

    def table(self, shard: int) -> str:
        """Return the URI of the table of a shard."""
        return join_uri(self.tables, f"{shard:05d}.parquet")

    def result_name(self, row: Mapping[str, Any]) -> str:
        """Return the file name of a result."""
        return unescape_hashes(str(row["output_uri"]).rpartition("/")[2])

    def folder_for(self, row: Mapping[str, Any]) -> str:
        """Return the folder below which the credentials of a result go."""
        return file_uri(self.copies or output_folder(self.job.output.uri, row["map_sha256"], self.run.fingerprint))

    def target_for(self, row: Mapping[str, Any]) -> str:
        """Return the URI of the file that gets the credentials of a result.

        Raises:
            ConfigError: the result is not where the job has its results.
        """
        uri = str(row["output_uri"])
        if self.copies is None:
            return uri + RESULT_CREDENTIALS_SUFFIX
        folder = file_uri(output_folder(self.job.output.uri, row["map_sha256"], self.run.fingerprint)).rstrip("/") + "/"
        if not uri.startswith(folder):
            raise ConfigError(f"result {uri} is not in the output folder {folder} of its run")
        return join_uri(file_uri(self.copies), uri.removeprefix(folder))

    def explain_unsupported(self, media_type: str) -> str:
        """Return why results of a media type get no credentials; empty if they do."""
        if self.copies is None or media_type in _EMBEDDABLE:
            return ""
        return f"credentials are not embedded into {media_type}: leave out --embed for a file beside the result"


def choose_places(run: RunPaths, job: Job, copies: str | None) -> CredentialPlaces:
    """Return where credentials go, once it is clear that they can.

    Args:
        run: the run.
        job: its job.
        copies: folder of signed copies; None for files beside the results.

    Raises:
        ConfigError: results are in tar or Parquet files, or the folder of copies is one with results.
    """
    if job.output.layout is not OutputLayout.FILES:
        raise ConfigError(
            f"the results of {run.uri} are in {job.output.layout} files, and credentials are those of single files: "
            "set output.layout to files, and run the job"
        )
    if copies is None:
        return CredentialPlaces(run, job)
    folder = absolute_uri(copies).rstrip("/")
    if owner := read_output_owner(folder):
        raise ConfigError(f"--out {folder} holds the results of {owner}, which stay as they are: name another folder")
    root = job.output.uri.rstrip("/")
    if f"{folder}/".startswith(f"{root}/") or f"{root}/".startswith(f"{folder}/"):
        raise ConfigError(f"--out {folder} is in the output folder {root}, or holds it: name another folder")
    return CredentialPlaces(run, job, folder)
