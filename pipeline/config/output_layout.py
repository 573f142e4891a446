"""How results are packed, and the folder that they go to."""

from enum import StrEnum


class Layout(StrEnum):
    """How results lie in the output folder.

    MIRROR: under the folders and names of the input.
    WEBDATASET: a tar a shard of the run, with the sidecar files of photos that came from tars.
    PARQUET: a Parquet file a shard, in the columns of Hugging Face's datasets.
    """

    MIRROR = "mirror"
    WEBDATASET = "webdataset"
    PARQUET = "parquet"
