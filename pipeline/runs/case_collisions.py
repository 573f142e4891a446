"""Detection of results whose names a case-insensitive file system cannot distinguish, such as `A.png` and `a.png`."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from pipeline.errors import RunError
from pipeline.outputs import output_key_for
from pipeline.runs.hash_set import HASH_BYTES, hash_name
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import read_plan
from pipeline.storage import is_case_insensitive

_HASH_DTYPE = np.dtype([("folded", np.bytes_, HASH_BYTES), ("exact", np.bytes_, HASH_BYTES)])


def check_case_collisions(run: RunPaths, output: str, format_spec: str) -> None:
    """Raise an error if the results of two planned photos would be one file in a case-insensitive output folder.

    Args:
        run: the run.
        output: the output folder, which the run has claimed.
        format_spec: the output format, as for `output_key_for`.

    Raises:
        RunError: two results would be one file.
    """

    def iter_result_keys() -> Iterator[str]:
        return (output_key_for(entry.key, format_spec) for shard in read_plan(run) for entry in shard.entries)

    if is_case_insensitive(output) and (collision := find_case_collision(iter_result_keys)):
        raise RunError(
            f"{output} is case-insensitive: '{collision[0]}' and '{collision[1]}' would be one file there; "
            "name another output.uri, or rename one of these photos"
        )


def find_case_collision(iter_names: Callable[[], Iterable[str]]) -> tuple[str, str] | None:
    """Find two names that differ only in case or in how accents are encoded.

    Args:
        iter_names: returns a new iterator over the names at each call; 32 bytes are held for each name.

    Returns:
        Two such names, sorted; None if there are none.
    """
    buffer = bytearray()
    for name in iter_names():
        buffer += hash_name(_fold_case(name)) + hash_name(name)
    hashes = np.sort(np.frombuffer(buffer, _HASH_DTYPE), order=["folded", "exact"])
    same = (hashes["folded"][1:] == hashes["folded"][:-1]) & (hashes["exact"][1:] != hashes["exact"][:-1])
    if not same.any():
        return None
    wanted = hashes["folded"][int(same.argmax())]  # NumPy strips trailing zeros from fixed-width bytes
    found = dict.fromkeys(name for name in iter_names() if hash_name(_fold_case(name)).rstrip(b"\0") == wanted)
    first, second, *_ = sorted(found)
    return first, second


def _fold_case(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
