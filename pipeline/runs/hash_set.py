"""Ledger: a set of names, too many to be held as they are, that can be asked whether one is in it."""

import hashlib
from collections.abc import Iterable

import numpy as np

_HASH_BYTES = 16  # of a name's hash: among a billion names two are taken for one with a probability of 1e-21


class HashSet:
    """The hashes of names, sorted: 16 bytes a name."""

    def __init__(self, names: Iterable[str]) -> None:
        """Take names; they are drawn one at a time and not kept."""
        buffer = bytearray()
        for name in names:
            buffer += _hash_name(name)
        self._hashes = np.frombuffer(buffer, np.dtype((np.bytes_, _HASH_BYTES)))
        self._hashes.sort()

    def __contains__(self, name: str) -> bool:
        wanted = _hash_name(name).rstrip(b"\0")  # as NumPy gives its fixed-width bytes back
        index = int(self._hashes.searchsorted(np.bytes_(wanted)))
        return index < len(self._hashes) and bool(self._hashes[index] == wanted)

    def __len__(self) -> int:
        return len(self._hashes)


def _hash_name(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=_HASH_BYTES).digest()
