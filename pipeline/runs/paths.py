"""Where the files of a run lie."""

from dataclasses import dataclass

from pipeline.errors import RunError
from pipeline.storage import exists, join_uri, list_names

RUNS_FOLDER = "_deepot"
"""The folder of the runs in an output folder, unless the job names another."""
CALIBRATIONS_FOLDER = "calibrations"
"""The folder of the calibrations among the runs."""


@dataclass(frozen=True)
class RunPaths:
    """The folder of one run; its name is the fingerprint of everything that decides a result.

    Attributes:
        uri: `<folder of the runs>/<fingerprint>`.
    """

    uri: str

    @property
    def fingerprint(self) -> str:
        """The name of the folder: the fingerprint of the run, shortened."""
        return self.uri.rstrip("/").rpartition("/")[2]

    @property
    def run_json(self) -> str:
        """run.json: the resolved job, the fingerprint and the versions of the packages."""
        return join_uri(self.uri, "run.json")

    @property
    def lease(self) -> str:
        """driver.json: the driver that holds the lease, where the run needs one."""
        return join_uri(self.uri, "driver.json")

    @property
    def success_marker(self) -> str:
        """_SUCCESS.json: the totals; written when every planned shard is committed."""
        return join_uri(self.uri, "_SUCCESS.json")

    @property
    def report(self) -> str:
        """report.html: the report for people."""
        return join_uri(self.uri, "report.html")

    def plan(self, number: int) -> str:
        """Return the URI of a plan file, numbered from 1."""
        return join_uri(self.uri, f"plan-{number:04d}.parquet")

    def presence_records(self, number: int) -> str:
        """Return the URI of a file that records photos which went missing or came back, numbered from 1."""
        return join_uri(self.uri, f"missing-{number:04d}.parquet")

    def decisions(self, number: int) -> str:
        """Return the URI of a file that records the decisions of reviews, numbered from 1."""
        return join_uri(self.uri, f"decisions-{number:04d}.json")

    def manifest(self, name: str = "") -> str:
        """Return the URI of a manifest file, or of their folder without a name."""
        return join_uri(self.uri, "manifest", name).rstrip("/")

    def segment(self, name: str = "") -> str:
        """Return the URI of a segment's rows or index, or of the folder of segments without a name."""
        return join_uri(self.uri, "segments", name).rstrip("/")

    @property
    def record(self) -> str:
        """record/: the preservation events of its photos, one file per shard."""
        return join_uri(self.uri, "record")

    def credentials(self, *names: str) -> str:
        """Return the URI of the folder with the tables of signed results, or of a file in it."""
        return join_uri(self.uri, "credentials", *names)

    def commit(self, shard: int | None = None) -> str:
        """Return the URI of a shard's commit, or of the folder of commits without a number."""
        folder = join_uri(self.uri, "commits")
        return folder if shard is None else join_uri(folder, f"{shard:05d}.json")

    def evaluation(self, key: str = "", *names: str) -> str:
        """Return the URI of an evaluation's folder or a file in it, or of the folder of all evaluations."""
        return join_uri(self.uri, "evaluation", *filter(None, (key, *names)))


def require_run(run: RunPaths) -> None:
    """Raise an error unless a folder is that of a run.

    Raises:
        RunError: it is not; the message names the runs below it, also where it is an output folder.
    """
    if exists(run.run_json):
        return
    folder = run.uri if run.uri.endswith("/" + RUNS_FOLDER) else join_uri(run.uri, RUNS_FOLDER)
    existing_runs = [join_uri(folder, name) for name in sorted(list_names(folder)) if name != CALIBRATIONS_FOLDER]
    raise RunError(
        f"{run.uri} is not the folder of a run: it has no run.json"
        + (f"; the runs there are {', '.join(existing_runs)}" if existing_runs else "")
    )
