"""Casing: results that would be one file in a folder that does not tell `A.png` from `a.png`."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from pipeline.errors import RunError
from pipeline.outputs.naming import mirror_key
from pipeline.runs.output_ownership import MARKER
from pipeline.runs.paths import Run
from pipeline.runs.plan import read_plan
from pipeline.storage.folders import exists
from pipeline.storage.objects import join

_BYTES = 16  # of a name's hash
_HASHES = np.dtype([("folded", np.bytes_, _BYTES), ("exact", np.bytes_, _BYTES)])


def check_names(run: Run, output: str, form: str) -> None:
    """See that no two planned photos have one result, where a folder does not tell names apart by case.

    Args:
        run: the run.
        output: the folder, which is claimed for the run.
        form: as for `mirror_key`.

    Raises:
        RunError: two of them have.
    """

    def results() -> Iterator[str]:
        return (mirror_key(entry.key, form) for shard in read_plan(run) for entry in shard.entries)

    if ignores_case(output, MARKER) and (two := meeting(results)):
        raise RunError(
            f"{output} does not tell upper from lower case: '{two[0]}' and '{two[1]}' would be one file there; "
            "name another output.uri, or rename one of these photos"
        )


def ignores_case(folder: str, name: str) -> bool:
    """Whether a folder on a disk, which has a file of that name, has it by the name in other letters too."""
    return "://" not in folder and exists(join(folder, name.swapcase()))


def meeting(names: Callable[[], Iterable[str]]) -> tuple[str, str] | None:
    """Two of the names that differ in nothing but case, or in how accents are written; None where there are none.

    Args:
        names: gives them, as often as it is asked; 32 bytes of each are held.
    """
    held = bytearray()
    for name in names():
        held += _hash(_folded(name)) + _hash(name)
    hashes = np.sort(np.frombuffer(held, _HASHES), order=["folded", "exact"])
    same = (hashes["folded"][1:] == hashes["folded"][:-1]) & (hashes["exact"][1:] != hashes["exact"][:-1])
    if not same.any():
        return None
    wanted = hashes["folded"][int(same.argmax())]  # without zeros at its end, as NumPy gives it
    found = dict.fromkeys(name for name in names() if _hash(_folded(name)).rstrip(b"\0") == wanted)
    one, other, *_ = sorted(found)
    return one, other


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=_BYTES).digest()
