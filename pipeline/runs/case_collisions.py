"""Casing: results that would be one file in a folder that does not tell `A.png` from `a.png`."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from pipeline.errors import RunError
from pipeline.outputs import output_key_for
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import read_plan
from pipeline.storage import is_case_insensitive

_HASH_BYTES = 16  # of a name's hash
_HASH_DTYPE = np.dtype([("folded", np.bytes_, _HASH_BYTES), ("exact", np.bytes_, _HASH_BYTES)])


def check_case_collisions(run: RunPaths, output: str, format_spec: str) -> None:
    """See that no two planned photos have one result, where a folder does not tell names apart by case.

    Args:
        run: the run.
        output: the folder, which is claimed for the run.
        format_spec: as for `output_key_for`.

    Raises:
        RunError: two of them have.
    """

    def result_keys() -> Iterator[str]:
        return (output_key_for(entry.key, format_spec) for shard in read_plan(run) for entry in shard.entries)

    if is_case_insensitive(output) and (collision := find_case_collision(result_keys)):
        raise RunError(
            f"{output} does not tell upper from lower case: '{collision[0]}' and '{collision[1]}' would be one file there; "
            "name another output.uri, or rename one of these photos"
        )


def find_case_collision(names: Callable[[], Iterable[str]]) -> tuple[str, str] | None:
    """Two of the names that differ in nothing but case, or in how accents are written; None where there are none.

    Args:
        names: gives them, as often as it is asked; 32 bytes of each are held.
    """
    buffer = bytearray()
    for name in names():
        buffer += _hash_name(_fold_case(name)) + _hash_name(name)
    hashes = np.sort(np.frombuffer(buffer, _HASH_DTYPE), order=["folded", "exact"])
    same = (hashes["folded"][1:] == hashes["folded"][:-1]) & (hashes["exact"][1:] != hashes["exact"][:-1])
    if not same.any():
        return None
    wanted = hashes["folded"][int(same.argmax())]  # without zeros at its end, as NumPy gives it
    found = dict.fromkeys(name for name in names() if _hash_name(_fold_case(name)).rstrip(b"\0") == wanted)
    one, other, *_ = sorted(found)
    return one, other


def _fold_case(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _hash_name(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=_HASH_BYTES).digest()
