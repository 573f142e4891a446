"""Counts of what an input holds besides the photos that are worked on, by kind."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum

from pipeline.storage import absolute_uri, strip_protocol, unescape_filename, unescape_hashes

_EXTENSIONS = {
    "raw": "3fr arw bay cap cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mdc mef mos mrw nef nrw orf pef ptx raf raw "
    "rw2 rwl sr2 srf srw x3f",
    "layered": "afphoto clip kra ora psb psd xcf",
    "video": "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf vob webm wmv",
    "sidecar": "aae cls csv dop exif json md5 pp3 sha1 sha256 thm tsv txt xml xmp yaml yml",
    "container": "7z bz2 gz parquet rar tar tgz xz zip zst",
}


class FileKind(StrEnum):
    """What kind of file was passed over; its value is the key in JSON."""

    label: str

    def __new__(cls, kind: str, label: str = "") -> "FileKind":
        """Make a member with the words for one such file."""
        member = str.__new__(cls, kind)
        member._value_, member.label = kind, label
        return member

    RAW = "raw", "raw photo"
    LAYERED = "layered", "layered image"
    VIDEO = "video", "video"
    SIDECAR = "sidecar", "sidecar file"
    CONTAINER = "container", "container"
    LINK = "link", "symbolic link"
    EXCLUDED = "excluded", "excluded photo"
    HIDDEN = "hidden", "hidden file"
    SYSTEM = "system", "system file"
    OTHER = "other", "other file"


_KIND_OF = {extension: kind for kind in FileKind for extension in _EXTENSIONS.get(kind.value, "").split()}


class PassedOver:
    """Counts what a listing passes over; a fixed number of counters, however long the listing is."""

    def __init__(self, ignored_folders: Sequence[str] = ()) -> None:
        """Begin with nothing.

        Args:
            ignored_folders: URIs of folders whose files are not counted: where the job's own files go.
        """
        self._counter = Counter[FileKind]()
        self._ignored = tuple(_comparable(absolute_uri(folder)) + "/" for folder in ignored_folders)

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind that occurs, in the order of `FileKind`."""
        return {kind.value: self._counter[kind] for kind in FileKind if self._counter[kind]}

    def add(self, path: str, kind: FileKind | None = None) -> None:
        """Count a file.

        Args:
            path: its path or name; objects that stand for a folder, with a slash at the end, are not counted.
            kind: its kind, if the extension does not decide it.
        """
        if not path.endswith("/") and not (self._ignored and _comparable(path).startswith(self._ignored)):
            self._counter[kind or kind_of(path)] += 1

    def add_special(self, path: str, is_link: bool) -> None:
        """Count what is neither file nor folder: a symbolic link, or a pipe, socket or device."""
        self.add(path, FileKind.LINK if is_link else FileKind.OTHER)


def kind_of(name: str) -> FileKind:
    """Return the kind of a file by its extension.

    Example:
        >>> kind_of("DSC_0001.NEF").label
        'raw photo'
    """
    _, dot, extension = name.rpartition("/")[2].rpartition(".")
    return _KIND_OF.get(extension.lower(), FileKind.OTHER) if dot else FileKind.OTHER


def describe_passed_over(counts: Mapping[str, int]) -> str:
    """Return counts in words, most frequent kinds first.

    Example:
        >>> describe_passed_over({"raw": 1, "video": 3})
        '3 videos, 1 raw photo'
    """
    kinds = sorted((FileKind(kind) for kind in counts), key=lambda kind: -counts[kind.value])
    return ", ".join(f"{counts[kind]} {kind.label}{'' if counts[kind] == 1 else 's'}" for kind in kinds)


def _comparable(uri_or_path: str) -> str:
    """Return a path as stores have it, without protocol and slashes around it."""
    return unescape_filename(unescape_hashes(strip_protocol(uri_or_path))).strip("/")
