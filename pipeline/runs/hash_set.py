"""Ledger: a set of names, too many to be held as they are, that can be asked whether one is in it."""

import hashlib
from collections.abc import Iterable

import numpy as np

_BYTES = 16  # of a name's hash: among a billion names two are taken for one with a probability of 1e-21


class Ledger:
    """The hashes of names, sorted: 16 bytes a name."""

    def __init__(self, names: Iterable[str]) -> None:
        """Take names; they are drawn one at a time and not kept."""
        held = bytearray()
        for name in names:
            held += _hash(name)
        self._hashes = np.frombuffer(held, np.dtype((np.bytes_, _BYTES)))
        self._hashes.sort()

    def __contains__(self, name: str) -> bool:
        wanted = _hash(name).rstrip(b"\0")  # as NumPy gives its fixed-width bytes back
        place = int(self._hashes.searchsorted(np.bytes_(wanted)))
        return place < len(self._hashes) and bool(self._hashes[place] == wanted)

    def __len__(self) -> int:
        return len(self._hashes)


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=_BYTES).digest()
