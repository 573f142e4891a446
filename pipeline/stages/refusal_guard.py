"""Stop a job whose storage refuses everything, before every image of an archive becomes a failed row."""

from pipeline.errors import AccessDeniedError
from pipeline.runs import ManifestFile
from pipeline.workers import WorkItem

MAX_REFUSALS_IN_A_ROW = 50
"""The images that storage may refuse one after the other, over all workers, with none done in between."""


class RefusalGuard:
    """Counts the images that storage refuses, and decides which shards may be committed with rows of such images.

    A shard may be once another image is done that was submitted later: then storage refuses some images and not all.
    Until then it waits, because a commit would keep a later run from doing these images again.
    """

    def __init__(self) -> None:
        self._in_a_row = 0
        self._n_results = 0
        self._submitted_after: dict[tuple[int, int, str], int] = {}  # results that had come in by then
        self._refused_at: dict[int, int] = {}  # shard → number of its last result with refusals
        self._granted_at = -1  # storage has granted access since the result of this number

    def on_submit(self, item: WorkItem) -> None:
        """Note that a work item goes to a worker."""
        self._submitted_after[item.key] = self._n_results

    def on_result(self, item: WorkItem, manifest_file: ManifestFile) -> None:
        """Note what has become of the images of a work item.

        Raises:
            AccessDeniedError: storage has refused too many in a row.
        """
        self._n_results += 1
        submitted_after = self._submitted_after.pop(item.key, -1)
        if manifest_file.ok:
            self._in_a_row = 0
            self._granted_at = max(self._granted_at, submitted_after)
        if manifest_file.refusals:
            self._in_a_row += manifest_file.refusals
            self._refused_at[item.shard] = self._n_results
        if self._in_a_row >= MAX_REFUSALS_IN_A_ROW:
            raise AccessDeniedError(
                f"storage refused {self._in_a_row} images in a row, and none was done in between; the last one: "
                f"{manifest_file.last_refusal}. Renew the credentials and run the same command again: it does the "
                "rest, the refused images included. If only these images are closed to you, name them in input.exclude"
            )

    @property
    def granted_at(self) -> int:
        """The number of a result: rows of shards without later refusals may become final. It never decreases."""
        return self._granted_at

    def pop_refused_at(self, shard: int) -> int:
        """Forget a complete shard; returns the number of its last result with refusals, -1 for none."""
        return self._refused_at.pop(shard, -1)
