"""How results are packed, and the folder they go to."""

from enum import StrEnum

MAP_PLACEHOLDER, RUN_PLACEHOLDER = "{map}", "{run}"


class OutputLayout(StrEnum):
    """How results lie in the output folder.

    FILES: under the folders and names of the input.
    WEBDATASET: one tar per shard of the run, with the sidecar files of photos that came from tars.
    PARQUET: one Parquet file per shard, in the columns of Hugging Face's datasets.
    """

    FILES = "files"
    WEBDATASET = "webdataset"
    PARQUET = "parquet"


def output_folder(uri: str, map_sha256: str, run_id: str) -> str:
    """The output folder of a map and a run.

    Args:
        uri: `output.uri` of the job, absolute.
        map_sha256: replaces `{map}`, shortened.
        run_id: replaces `{run}`.
    """
    return uri.replace(MAP_PLACEHOLDER, map_sha256[:16]).replace(RUN_PLACEHOLDER, run_id)


def fixed_folder(uri: str) -> str:
    """The folder that an output URI names, up to the first placeholder in it."""
    positions = [uri.find(mark) for mark in (MAP_PLACEHOLDER, RUN_PLACEHOLDER) if mark in uri]
    return uri[: min(positions)].rpartition("/")[0] if positions else uri.rstrip("/")
