"""Paths in the manifests of archives: which are refused, and how a path may be spelled in another way in storage."""

import hashlib
import re
import unicodedata
from array import array
from typing import Literal

import numpy as np

from pipeline.storage import has_unstorable_characters

_LINE_BREAKS = {"%0d": "\r", "%0a": "\n"}
_ENCODED = re.compile("%0[ad]", re.IGNORECASE)
_ENCODED_PERCENT = re.compile("%25")
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


def find_unsafe_part(path: str) -> str:
    """Return why a path is refused: it is absolute, leads out of its folder, or cannot be a path; empty if it is not.

    Example:
        >>> find_unsafe_part("data/../../etc/passwd")
        "which has the part '..'"
        >>> find_unsafe_part("data/scan 1.tif")
        ''
    """
    if path.startswith(("/", "\\", "~")) or _DRIVE.match(path):
        return "which is an absolute path"
    decoded = decode_all(path)
    if ".." in re.split(r"[/\\]", decoded):
        return "which has the part '..'"
    return "which holds a character that cannot be stored" if has_unstorable_characters(decoded) else ""


def clean_path(path: str) -> str:
    """Return a path without empty parts and those of one dot."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def decode_line_breaks(path: str) -> str:
    """Return a path with its percent-encoded line breaks, which a line of a manifest cannot hold otherwise."""
    return _ENCODED.sub(lambda match: _LINE_BREAKS[match[0].lower()], path) if "%" in path else path


def decode_all(path: str) -> str:
    """Return a path with its line breaks and percent signs decoded, which BagIt 1.0 asks for and some tools omit."""
    if "%" not in path:
        return path
    return re.sub(r"%(0[ad]|25)", lambda match: _LINE_BREAKS.get(match[0].lower(), "%"), path, flags=re.IGNORECASE)


def other_spellings(path: str) -> list[str]:
    """Return the further names that a file may have in storage: with percent signs decoded or not, in NFC or NFD.

    Example:
        >>> other_spellings("100%25.jpg")
        ['100%.jpg']
    """
    encoded = path.replace("\r", "%0D").replace("\n", "%0A")
    spelled = (path, _ENCODED_PERCENT.sub("%", path), encoded)
    forms = (unicodedata.normalize(form, name) for name in spelled for form in _FORMS)
    return [name for name in dict.fromkeys((*spelled, *forms)) if name != path]


class PathIndex:
    """The paths of a manifest that may be spelled in several ways, as hashes of 8 bytes each; most paths are none."""

    def __init__(self) -> None:
        self._added = array("Q")
        self._sorted: np.ndarray | None = None

    def add(self, path: str) -> None:
        """Add a path unless it can be spelled in one way only."""
        if _is_ambiguous(path):
            self._added.append(_hash(path))
            self._sorted = None

    def __contains__(self, path: str) -> bool:
        if not self._added or not _is_ambiguous(path):
            return False
        if self._sorted is None:
            self._sorted = np.sort(np.frombuffer(self._added, np.uint64))
        wanted = np.uint64(_hash(path))
        index = int(self._sorted.searchsorted(wanted))
        return index < len(self._sorted) and bool(self._sorted[index] == wanted)


def _is_ambiguous(path: str) -> bool:
    return "%" in path or not path.isascii() or "\n" in path or "\r" in path


def _hash(path: str) -> int:
    spelled = unicodedata.normalize("NFC", decode_all(path)).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(spelled, digest_size=8).digest(), "big")
