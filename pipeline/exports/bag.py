"""The results of a run as a bag (BagIt 1.0, RFC 8493)."""

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import BinaryIO

import deepot
from pipeline.errors import ConfigError, RunError
from pipeline.exports.copying import INPUT, OUTPUT, CopiedRow, Copy, copy_photos
from pipeline.exports.folders import prepare_folder
from pipeline.exports.names import NamedRow
from pipeline.exports.options import ExportOptions
from pipeline.exports.run_files import (
    CsvTable,
    ExportedRun,
    LeftOut,
    open_exported_run,
    open_left_out,
    open_table,
    write_collected,
    write_run_files,
)
from pipeline.exports.summary import ExportCounter, ExportSummary
from pipeline.progress import Progress
from pipeline.runs import RunPaths
from pipeline.storage import join_uri, sha256_hex, utc_timestamp, write

_DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_FOLDERS = {OUTPUT: "data/results", INPUT: "data/originals"}
_LABEL = re.compile(r"[^\s:][^:\r\n]*")
_OWN_LABELS = ("bagging-date", "payload-oxum", "bag-software-agent", "external-identifier")


def export_bag(
    run: RunPaths, options: ExportOptions, info: Mapping[str, str], *, originals: bool, progress: Progress
) -> ExportSummary:
    """Write the results of a run as a bag: photos, their rows, preservation events, and checksums of all of them.

    The checksums of photos are those of their rows, against which the bytes are checked. `bagit.txt` comes last, so a
    folder without it is no bag.

    Args:
        run: the run.
        options: which photos, where to, and their names.
        info: further entries of `bag-info.txt`, as `Source-Organization`.
        originals: whether the photos that the job read are in the bag too.
        progress: is advanced by every photo.

    Raises:
        ConfigError: the folder is not empty, a name is not possible, two photos have the same name, or an entry of
            `bag-info.txt` is not valid. Then nothing is written.
        RunError: the folder is not that of a run, a manifest file is not what it should be, or there is no photo to
            export.
        StorageError: the bag cannot be written.
    """
    check_info(info)
    with open_exported_run(run, options) as exported, ExitStack() as stack:
        folder = prepare_folder(options.folder, exported.job)
        exported.check_names(folder, originals=originals)
        payload, tags = stack.enter_context(TemporaryFile()), stack.enter_context(TemporaryFile())
        table = stack.enter_context(open_table("path", "file_name", "status", "sha256", "bytes"))
        bag = _Bag(folder, payload, tags, table, stack.enter_context(open_left_out()), ExportCounter())
        progress.begin("export", len(exported.selection))
        for copied in copy_photos(exported.job, folder, exported.iter_named(), _plan_with(originals=originals)):
            bag.add_row(copied)
            progress.advance(1, int(bool(copied.reason)))
        progress.end()
        bag.check_not_empty()
        bag.close(exported, info)
    return bag.counter.summarize(folder)


def check_info(info: Mapping[str, str]) -> None:
    """Check entries of `bag-info.txt`.

    Raises:
        ConfigError: a label has a colon or a line break, is one that deepot writes itself, or a value has a line break.
    """
    for label, value in info.items():
        if not _LABEL.fullmatch(label) or label != label.strip() or re.search(r"[\r\n]", value):
            raise ConfigError(
                f"'{label}={value}' is no entry of bag-info.txt: give it as in Source-Organization=Archive"
            )
        if label.lower() in _OWN_LABELS:
            raise ConfigError(f"'{label}' in bag-info.txt is written by deepot itself: leave it out")


def _plan_with(*, originals: bool) -> Callable[[NamedRow], list[Copy]]:
    def plan(named: NamedRow) -> list[Copy]:
        copies = [Copy(OUTPUT, f"{_FOLDERS[OUTPUT]}/{named.result}")] if named.result else []
        if originals and named.original:
            copies.append(Copy(INPUT, f"{_FOLDERS[INPUT]}/{named.original}"))
        return copies

    return plan


@dataclass(frozen=True)
class _Bag:
    """A bag that is being written.

    Attributes:
        folder: URI of its folder.
        payload: the lines of the manifest, on this machine's disk.
        tags: the lines of the manifest of tag files.
        table: the paths of photos and their names in the run.
        left_out: the photos without exported result.
        counter: counts photos and bytes.
    """

    folder: str
    payload: BinaryIO
    tags: BinaryIO
    table: CsvTable
    left_out: LeftOut
    counter: ExportCounter

    def add_row(self, copied: CopiedRow) -> None:
        """Note what became of a row."""
        for file in copied.files:
            self.payload.write(f"{file.sha256}  {file.path}\n".encode())
            self.table.add([file.path, copied.row["file_name"], copied.row["status"], file.sha256, file.size])
            self.counter.add_file(file.size)
        self.counter.photos += any(file.side == OUTPUT for file in copied.files)
        if copied.reason:
            self.counter.skip(copied.row["file_name"], copied.reason)
            self.left_out.add(copied)

    def check_not_empty(self) -> None:
        """Raise a RunError if there is no photo in the bag, as one without payload is none."""
        if not self.counter.files:
            skipped = self.counter.skipped.first
            reason = f"; the first, '{skipped[0][0]}': {skipped[0][1]}" if skipped else ""
            raise RunError(
                f"no photo can be exported to {self.folder}, and a bag without any is not valid: "
                f"{self.counter.skipped.count} selected photos have no result that can be read{reason}"
            )

    def close(self, exported: ExportedRun, info: Mapping[str, str]) -> None:
        """Write everything but the photos; the declaration comes last."""
        metadata = join_uri(self.folder, "metadata")
        for path, digest in write_run_files(exported, metadata):
            self._add_tag(f"metadata/{path}", digest)
        self._add_tag("metadata/files.csv", self.table.write(join_uri(metadata, "files.csv")))
        self._add_tag("metadata/not-exported.csv", self.left_out.write(join_uri(metadata, "not-exported.csv")))
        payload = join_uri(self.folder, "manifest-sha256.txt")
        self._add_tag("manifest-sha256.txt", write_collected(self.payload, payload))
        self._write_tag("bag-info.txt", self._format_info(exported, info))
        self._add_tag("bagit.txt", sha256_hex(_DECLARATION.encode()))
        write_collected(self.tags, join_uri(self.folder, "tagmanifest-sha256.txt"))
        write(join_uri(self.folder, "bagit.txt"), _DECLARATION.encode())

    def _add_tag(self, path: str, digest: str) -> None:
        self.tags.write(f"{digest}  {path}\n".encode())

    def _write_tag(self, path: str, text: str) -> None:
        write(join_uri(self.folder, path), text.encode())
        self._add_tag(path, sha256_hex(text.encode()))

    def _format_info(self, exported: ExportedRun, info: Mapping[str, str]) -> str:
        entries = {
            **info,
            "External-Identifier": exported.run.fingerprint,
            "Bagging-Date": utc_timestamp()[:10],
            "Bag-Software-Agent": f"deepot {deepot.__version__}",
            "Payload-Oxum": f"{self.counter.size}.{self.counter.files}",
        }
        return "".join(f"{label}: {value}\n" for label, value in entries.items())
