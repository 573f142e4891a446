"""Where the files of a calibration lie: photo lists, moments, maps and drift records."""

import json
import re
from dataclasses import dataclass

from pipeline.calibration.sides import Side
from pipeline.errors import RunError
from pipeline.runs import RunPaths, require_run
from pipeline.storage import join_uri, parent_uri, read

_MERGED_KEY = re.compile(r"moments/[a-z-]+-merged/\d+\+\d+(x\d+)?\.safetensors")


@dataclass(frozen=True)
class CalibrationPaths:
    """The folder of one calibration; its name is the fingerprint of everything that decides the statistics and the map.

    Runs that differ only in how the map is applied share it.

    Attributes:
        uri: `<folder of the runs>/calibrations/<fingerprint>`.
    """

    uri: str

    @property
    def calibration_json(self) -> str:
        """calibration.json: the fingerprint, the models, and the job that started the calibration."""
        return join_uri(self.uri, "calibration.json")

    @property
    def lease(self) -> str:
        """driver.json: the driver that holds the lease, where storage cannot decide between two drivers."""
        return join_uri(self.uri, "driver.json")

    @property
    def moments_folder(self) -> str:
        """The folder of the photo lists and the moments."""
        return join_uri(self.uri, "moments")

    @property
    def maps_folder(self) -> str:
        """The folder of the maps."""
        return join_uri(self.uri, "maps")

    def photo_list(self, side: Side, number: int) -> str:
        """Return the URI of a frozen list of photos of a side, numbered from 1."""
        return join_uri(self.moments_folder, f"{side}-{number:04d}.parquet")

    def moments(self, side: Side, shard: int | None = None) -> str:
        """Return the URI of the moments of a shard on a side, or of their folder without a shard."""
        folder = join_uri(self.moments_folder, side)
        return folder if shard is None else join_uri(folder, f"{shard:05d}.safetensors")

    def map_statistics(self, side: Side, shard: int) -> str:
        """Return the URI of the statistics that the kind of map is fitted from, if it needs more than moments."""
        return join_uri(self.moments_folder, f"{side}-statistics", f"{shard:05d}.safetensors")

    def tone_sums(self, shard: int) -> str:
        """Return the URI of the sums of the tone curve over a shard."""
        return join_uri(self.moments_folder, "tone", f"{shard:05d}.safetensors")

    def merged(self, shard_uri: str, shards: range) -> str:
        """Return the URI of what the files of some shards are merged into, given that of one of them."""
        step = "" if shards.step == 1 else f"x{shards.step}"
        return join_uri(f"{parent_uri(shard_uri)}-merged", f"{shards.start:05d}+{len(shards):05d}{step}.safetensors")

    @property
    def tone_curve(self) -> str:
        """tone.safetensors: the tone curve of the calibration, which never changes."""
        return join_uri(self.moments_folder, "tone.safetensors")

    def change_sums(self, map_sha256: str, shard: int) -> str:
        """Return the URI of the sums that show what a map changes in the photos of a shard."""
        return join_uri(self.moments_folder, f"change-{map_sha256[:16]}", f"{shard:05d}.safetensors")

    def energy_sums(self, map_sha256: str, side: Side, shard: int) -> str:
        """Return the URI of the band energies of a shard on a side, and of what a map changes in restored photos."""
        return join_uri(self.moments_folder, f"change-{map_sha256[:16]}-{side}", f"{shard:05d}.safetensors")

    def moments_by_photo(self, map_sha256: str, state: str, shard: int) -> str:
        """Return the URI of the moments of each photo of a shard in a state, such as "natural"."""
        return join_uri(self.moments_folder, f"change-{map_sha256[:16]}-{state}-photos", f"{shard:05d}.safetensors")

    def unmeasured_map(self, map_sha256: str) -> str:
        """Return the URI of a map without its gains and error curves, which workers measure."""
        return join_uri(self.moments_folder, f"change-{map_sha256[:16]}.safetensors")

    def map(self, number: int = 1) -> str:
        """Return the URI of a map, numbered from 1; a refit gets the next number."""
        return join_uri(self.maps_folder, f"map-{number:04d}.safetensors")

    def map_provenance(self, map_sha256: str) -> str:
        """Return the URI of the record which shards a map was fitted from."""
        return join_uri(self.maps_folder, "provenance", f"{map_sha256[:16]}.json")

    def drift(self, map_sha256: str = "", shards: int = 0) -> str:
        """Return the URI of a drift record, or of their folder without a map.

        Args:
            map_sha256: the SHA-256 of the map that the drift is measured from.
            shards: the number of shards of the source side at that time.
        """
        return join_uri(self.uri, "drift", f"{map_sha256[:16]}-{shards:05d}.json" if map_sha256 else "").rstrip("/")


def is_merged_statistics(key: str) -> bool:
    """Whether a file, by its path below the folder of a calibration, is one of `CalibrationPaths.merged`."""
    return _MERGED_KEY.fullmatch(key) is not None


def calibration_of_run(run: RunPaths) -> CalibrationPaths:
    """Return the calibration that a run uses, as recorded in its run.json.

    Raises:
        RunError: the folder is not that of a run, or its job names a map instead of a calibration.
    """
    require_run(run)
    uri = json.loads(read(run.run_json))["calibration"]
    if uri is None:
        raise RunError(f"{run.uri} has no calibration: its job names a map")
    return CalibrationPaths(uri)
