"""Where the files of one calibration lie: photo lists, moments, maps and drift records."""

import json
from dataclasses import dataclass

from pipeline.runs import RunPaths, require_run
from pipeline.storage import join_uri, read


@dataclass(frozen=True)
class CalibrationPaths:
    """The folder of one calibration: everything that decides the statistics and the map gives its fingerprint.

    Runs that differ only in how the map is applied share it.

    Attributes:
        uri: `<folder of the runs>/calibrations/<fingerprint>`.
    """

    uri: str

    @property
    def calibration_json(self) -> str:
        """calibration.json: the fingerprint, the models and the job that began it."""
        return join_uri(self.uri, "calibration.json")

    @property
    def lease(self) -> str:
        """The driver at work, where storage cannot decide between two."""
        return join_uri(self.uri, "driver.json")

    def photo_list(self, side: str, number: int) -> str:
        """A frozen list of photos of one side, numbered from 1."""
        return join_uri(self.uri, "moments", f"{side}-{number:04d}.parquet")

    def moments(self, side: str, shard: int) -> str:
        """Moments of one shard of the `source` or `reference` side."""
        return join_uri(self.uri, "moments", side, f"{shard:05d}.safetensors")

    def map_statistics(self, side: str, shard: int) -> str:
        """Statistics of one shard that the kind of map is fitted from, if it needs more than moments."""
        return join_uri(self.uri, "moments", f"{side}-statistics", f"{shard:05d}.safetensors")

    def map(self, number: int = 1) -> str:
        """A map, numbered from 1; a refitted one gets the next number."""
        return join_uri(self.uri, "maps", f"map-{number:04d}.safetensors")

    def map_provenance(self, map_sha256: str) -> str:
        """The shards of the statistics that a map was fitted from."""
        return join_uri(self.uri, "maps", "provenance", f"{map_sha256[:16]}.json")

    def drift(self, map_sha256: str = "", shards: int = 0) -> str:
        """How far the source side had drifted from a map after so many shards, or the folder of all such records."""
        return join_uri(self.uri, "drift", f"{map_sha256[:16]}-{shards:05d}.json" if map_sha256 else "").rstrip("/")


def calibration_of_run(run: RunPaths) -> CalibrationPaths:
    """The calibration that a run uses, as its run.json says.

    Raises:
        RunError: the folder is not a run.
    """
    require_run(run)
    return CalibrationPaths(str(json.loads(read(run.run_json))["calibration"]))
