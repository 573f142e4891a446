"""A set of very many names that stores a hash of each instead of the name."""

import hashlib
from collections.abc import Iterable

import numpy as np

HASH_BYTES = 16
"""Bytes of a name's hash: among a billion names, two share a hash with a probability of about 1e-21."""


class HashSet:
    """An immutable set of names, stored as sorted hashes of 16 bytes each."""

    def __init__(self, names: Iterable[str]) -> None:
        """Hash the names; the iterable is consumed once and no name is kept."""
        buffer = bytearray()
        for name in names:
            buffer += hash_name(name)
        self._hashes = np.frombuffer(buffer, np.dtype((np.bytes_, HASH_BYTES)))
        self._hashes.sort()

    def __contains__(self, name: str) -> bool:
        wanted = hash_name(name).rstrip(b"\0")  # NumPy strips trailing zeros from fixed-width bytes
        index = int(self._hashes.searchsorted(np.bytes_(wanted)))
        return index < len(self._hashes) and bool(self._hashes[index] == wanted)

    def __len__(self) -> int:
        return len(self._hashes)


def hash_name(name: str) -> bytes:
    """Return the BLAKE2b hash of a name, `HASH_BYTES` long; names that are not valid Unicode are hashed too."""
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=HASH_BYTES).digest()
