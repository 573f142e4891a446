"""How results are packed, and the folder that they go to."""

from enum import StrEnum


class OutputLayout(StrEnum):
    """How results lie in the output folder.

    FILES: under the folders and names of the input.
    WEBDATASET: a tar a shard of the run, with the sidecar files of photos that came from tars.
    PARQUET: a Parquet file a shard, in the columns of Hugging Face's datasets.
    """

    FILES = "mirror"
    WEBDATASET = "webdataset"
    PARQUET = "parquet"
