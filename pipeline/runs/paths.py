"""Layout: where each file of a run lies."""

from dataclasses import dataclass

from pipeline.errors import RunError
from pipeline.storage import exists, join_uri, list_names

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
        """Marks of photos that have missing or come back, numbered from 1."""
        return join_uri(self.uri, f"missing-{number:04d}.parquet")

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
