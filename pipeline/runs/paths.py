"""Layout: where each file of a run lies."""

from dataclasses import dataclass

from pipeline.errors import RunError
from pipeline.storage.folders import exists, list_names
from pipeline.storage.objects import join_uri

RUNS_FOLDER = "_deepot"
"""The folder of the runs in an output folder, unless the job names another."""


@dataclass(frozen=True)
class RunPaths:
    """The folder of one run: one combination of job, models and map.

    Attributes:
        uri: `<run>/<fingerprint>`.
    """

    uri: str

    @property
    def run_json(self) -> str:
        """run.json: resolved job, fingerprint, versions."""
        return join_uri(self.uri, "run.json")

    @property
    def lease(self) -> str:
        """Which driver is at work, where storage cannot decide between two."""
        return join_uri(self.uri, "driver.json")

    @property
    def success_marker(self) -> str:
        """Totals; written when every shard of every plan is committed."""
        return join_uri(self.uri, "_SUCCESS.json")

    @property
    def report(self) -> str:
        """The page for people."""
        return join_uri(self.uri, "report.html")

    def plan(self, number: int) -> str:
        """A frozen part of the plan, numbered from 1."""
        return join_uri(self.uri, f"plan-{number:04d}.parquet")

    def presence_records(self, number: int) -> str:
        """Marks of photos that have vanished or come back, numbered from 1."""
        return join_uri(self.uri, f"vanished-{number:04d}.parquet")

    def map(self, number: int = 1) -> str:
        """A map of the run, numbered from 1; a refitted one is one more."""
        return join_uri(self.uri, f"map-{number:04d}.safetensors")

    def map_provenance(self, map_sha256: str) -> str:
        """Which shards of the statistics a map was fitted from."""
        return join_uri(self.uri, "moments", "basis", f"{map_sha256[:16]}.json")

    def drift(self, map_sha256: str = "", shards: int = 0) -> str:
        """How far the source had moved from a map by so many shards, or the folder of all that is known of that."""
        return join_uri(self.uri, "drift", f"{map_sha256[:16]}-{shards:05d}.json" if map_sha256 else "").rstrip("/")

    def photo_list(self, side: str, number: int) -> str:
        """A frozen list of photos of one side of the calibration, numbered from 1."""
        return join_uri(self.uri, "moments", f"{side}-{number:04d}.parquet")

    def moments(self, side: str, shard: int) -> str:
        """Moments of one shard of the `source` or `reference` side."""
        return join_uri(self.uri, "moments", side, f"{shard:05d}.safetensors")

    def binned_moments(self, side: str, shard: int) -> str:
        """The same by level of detail, where the map is of a mixture."""
        return join_uri(self.uri, "moments", f"{side}-levels", f"{shard:05d}.safetensors")

    def manifest(self, name: str = "") -> str:
        """A manifest part, or the folder of them."""
        return join_uri(self.uri, "manifest", name).rstrip("/")

    def commit(self, shard: int | None = None) -> str:
        """The commit of a shard, or the folder of commits."""
        folder = join_uri(self.uri, "commits")
        return folder if shard is None else join_uri(folder, f"{shard:05d}.json")

    def evaluation(self, key: str = "", *names: str) -> str:
        """The folder of an evaluation, or of all of them, or something in it."""
        return join_uri(self.uri, "evaluation", *filter(None, (key, *names)))


def require_run(run: RunPaths) -> None:
    """See that a folder is that of a run.

    Raises:
        RunError: it is not; the runs that are in it, or in the output folder that it is, are named.
    """
    if exists(run.run_json):
        return
    folder = run.uri if run.uri.endswith("/" + RUNS_FOLDER) else join_uri(run.uri, RUNS_FOLDER)
    existing_runs = [join_uri(folder, name) for name in sorted(list_names(folder))]
    raise RunError(
        f"{run.uri} is not the folder of a run: it has no run.json"
        + (f"; the runs there are {', '.join(existing_runs)}" if existing_runs else "")
    )
