"""Names of hidden files and folders, and of what macOS, Windows and network storage keep beside photos."""

import re
from fnmatch import fnmatchcase
from urllib.parse import unquote

from pipeline.sources.passed_over import FileKind

_SYSTEM = (
    r"\._.*|__macosx|icon\r|\.(ds_store|apdisk|apple(double|db|desktop)|com\.apple\..*|localized|volumeicon\.icns"
    r"|documentrevisions-v100|fseventsd|spotlight-v100|temporaryitems|trash(es|-\d+)?|lsoverride)"  # macOS, Linux
    r"|network trash folder|temporary items|lost\+found|\.(thumbnails|directory|nfs[\da-f]+|snapshots?|zfs)|~snapshot"
    r"|thumbs\.db|ehthumbs(_vista)?\.db|desktop\.ini|\$recycle\.bin|recycle[rd]|system volume information"  # Windows
    r"|@eadir|#(recycle|snapshot)|@(tmp|sharebin|recycle|recently-snapshot|__thumb)"  # Synology, QNAP
    r"|\.@(__thumb|upload_cache)|\.recycle"
)
_SYSTEM_NAME = re.compile(_SYSTEM, re.DOTALL)
"""Matched with names in lower case."""
_MAY_BE_HIDDEN = re.compile(rf"(?:^|[/\\])(?:\.(?!\.?(?:[/\\]|$))|(?:{_SYSTEM})(?:[/\\]|$))|%", re.IGNORECASE)
"""Found in every path with a hidden name, and in few others: a listing asks about millions."""


def find_hidden_kind(path: str) -> FileKind | None:
    """Return the kind of a file that is passed over for its name or that of a folder it lies in; None for others.

    Names are compared without case, and as they are after percent-decoding, which the links of web servers need.

    Args:
        path: its path below the folder, or inside the container, that is listed.

    Example:
        >>> find_hidden_kind("box 3/@eaDir/scan.jpg/SYNOPHOTO_THUMB_M.jpg").label
        'system file'
        >>> find_hidden_kind("./box 3/scan.jpg") is None
        True
    """
    names = _hidden_names(path) if _MAY_BE_HIDDEN.search(path) else []
    if not names:
        return None
    return FileKind.SYSTEM if any(_SYSTEM_NAME.fullmatch(_plain(name)) for name in names) else FileKind.HIDDEN


def is_system_file(path: str) -> bool:
    """Whether a file is one of those that systems keep beside photos, or lies in a folder of such files."""
    return find_hidden_kind(path) is FileKind.SYSTEM


def is_named_by_glob(path: str, pattern: str) -> bool:
    """Whether a glob names each hidden file and folder of a path that it matches.

    It does so by a part of that very name, or of that beginning with a dot; `*` and `**` alone do not.

    Example:
        >>> is_named_by_glob("2019/.raw/1.jpg", "*/.r*/*.jpg"), is_named_by_glob("2019/.raw/1.jpg", "**/*.jpg")
        (True, False)
    """
    parts = pattern.split("/")
    return all(
        any(part == name or (part.startswith(".") and fnmatchcase(name, part)) for part in parts)
        for name in _hidden_names(path)
    )


def _hidden_names(path: str) -> list[str]:
    """Return the hidden names of a path; parts of one or two dots are no names."""
    parts = re.split(r"[/\\]", path)
    return [part for part in parts if part not in ("", ".", "..") and _is_hidden(_plain(part))]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or _SYSTEM_NAME.fullmatch(name) is not None


def _plain(name: str) -> str:
    return (unquote(name) if "%" in name else name).lower()
