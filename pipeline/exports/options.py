"""Which photos of a run are exported, and where to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExportOptions:
    """Which photos of a run are exported, and where to.

    Attributes:
        folder: URI of the folder to write, which must be empty or missing.
        where: SQL condition over the columns of the manifest, as for `pipeline.curation.open_selection`.
        names: template of the names of results (`pipeline.exports.names`); None for the names that they have.
    """

    folder: str
    where: str = "true"
    names: str | None = None
