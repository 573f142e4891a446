"""How results are packed, and the output folder of a map and a run."""

from enum import StrEnum

MAP_PLACEHOLDER, RUN_PLACEHOLDER = "{map}", "{run}"


class OutputLayout(StrEnum):
    """How results are packed in the output folder.

    FILES: one file for each photo, under the folders and names of the input.
    WEBDATASET: one tar for each shard, with the sidecar files of photos that came from tars.
    PARQUET: one Parquet file for each shard, with the columns of Hugging Face's datasets.
    """

    FILES = "files"
    WEBDATASET = "webdataset"
    PARQUET = "parquet"


def output_folder(uri: str, map_sha256: str, run_id: str) -> str:
    """Return the output folder of a map and a run.

    Args:
        uri: `output.uri` of the job, absolute.
        map_sha256: the fingerprint of the map; its first 16 digits replace `{map}`.
        run_id: the name of the run's folder; replaces `{run}`.
    """
    return uri.replace(MAP_PLACEHOLDER, map_sha256[:16]).replace(RUN_PLACEHOLDER, run_id)


def fixed_folder(uri: str) -> str:
    """Return the part of an output URI that is the same for all maps and runs: the folder above any placeholder."""
    positions = [uri.find(mark) for mark in (MAP_PLACEHOLDER, RUN_PLACEHOLDER) if mark in uri]
    return uri[: min(positions)].rpartition("/")[0] if positions else uri.rstrip("/")
