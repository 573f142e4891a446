"""The photos of a run as a standard transfer of Archivematica, with results as manually normalized derivatives.

See https://www.archivematica.org/en/docs/archivematica-1.16/user-manual/ingest/manual-normalization/; the paths in
`normalization.csv` are relative to `objects/`.
"""

from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum

from pipeline.errors import ConfigError
from pipeline.exports.copying import INPUT, OUTPUT, Copy, copy_photos
from pipeline.exports.folders import prepare_folder
from pipeline.exports.names import NAME_COLUMNS, NamedRow
from pipeline.exports.options import ExportOptions
from pipeline.exports.run_files import ExportedRun, open_exported_run, open_left_out, open_table, write_run_files
from pipeline.exports.summary import ExportCounter, ExportSummary
from pipeline.progress import Progress
from pipeline.runs import RunPaths
from pipeline.storage import join_uri

_OBJECTS, _NORMALIZED = "objects", "manualNormalization"
_DOCUMENTS = "metadata/submissionDocumentation/deepot"


class Derivative(StrEnum):
    """What results are to Archivematica: copies for access, or for preservation."""

    ACCESS = "access"
    PRESERVATION = "preservation"


def export_archivematica(
    run: RunPaths, options: ExportOptions, derivative: Derivative, progress: Progress
) -> ExportSummary:
    """Write the inputs of a run as objects of a transfer, and its results as their derivatives.

    Args:
        run: the run.
        options: which photos, where to, and the names of results.
        derivative: what the results are.
        progress: is advanced by every photo.

    Raises:
        ConfigError: the folder is not empty, a name is not possible or one that `normalization.csv` cannot hold, or two
            photos have the same name. Then nothing is written.
        RunError: the folder is not that of a run, or a manifest file is not what it should be.
        StorageError: the transfer cannot be written.
    """
    with open_exported_run(run, options) as exported, ExitStack() as stack:
        folder = prepare_folder(options.folder, exported.job)
        exported.check_names(folder, originals=True)
        _check_original_names(exported)
        links, counter = stack.enter_context(open_table("#original", "access", "preservation")), ExportCounter()
        left_out = stack.enter_context(open_left_out())
        progress.begin("export", len(exported.selection))
        plan = _plan_as(derivative)
        for copied in copy_photos(exported.job, folder, exported.iter_named(), plan):
            paths = {file.side: file.path.removeprefix(f"{_OBJECTS}/") for file in copied.files}
            if INPUT in paths and OUTPUT in paths:
                result = paths[OUTPUT]
                is_access = derivative is Derivative.ACCESS
                links.add([paths[INPUT], result if is_access else "", "" if is_access else result])
            for file in copied.files:
                counter.add_file(file.size)
            counter.photos += OUTPUT in paths
            if copied.reason:
                counter.skip(copied.row["file_name"], copied.reason)
                left_out.add(copied)
            progress.advance(1, int(bool(copied.reason)))
        progress.end()
        links.write(join_uri(folder, _OBJECTS, _NORMALIZED, "normalization.csv"))
        documents = join_uri(folder, _DOCUMENTS)
        left_out.write(join_uri(documents, "not-exported.csv"))
        for _ in write_run_files(exported, documents):
            pass
    return counter.summarize(folder)


def _plan_as(derivative: Derivative) -> Callable[[NamedRow], list[Copy]]:
    def plan(named: NamedRow) -> list[Copy]:
        copies = [Copy(INPUT, f"{_OBJECTS}/{named.original}")] if named.original else []
        if named.result:
            copies.append(Copy(OUTPUT, f"{_OBJECTS}/{_NORMALIZED}/{derivative}/{named.result}"))
        return copies

    return plan


def _check_original_names(exported: ExportedRun) -> None:
    """Check the names of originals, of which Archivematica takes those with a `#` for comments.

    Raises:
        ConfigError: it would.
    """
    for named in exported.iter_named(NAME_COLUMNS):
        name = named.row["file_name"]
        if "#" in name:
            raise ConfigError(
                f"'{name}' has a '#', by which Archivematica takes its line of normalization.csv for a comment: rename "
                "the photo, or leave it out with --where"
            )
        if name.partition("/")[0] == _NORMALIZED:
            raise ConfigError(f"'{name}' is in a folder of the name {_NORMALIZED}, which Archivematica uses itself")
