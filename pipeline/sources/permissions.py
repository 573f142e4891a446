"""Who may read photos: what is made from them must not be open to anyone else."""

from collections.abc import Iterable
from functools import reduce
from operator import and_

from pipeline.sources.member_uri import file_of
from pipeline.storage import get_permissions

_OWNER_ONLY = 0o600


def common_permissions(uris: Iterable[str]) -> int | None:
    """Return the permission bits that all of some photos have; those of its file for a photo in a container.

    Args:
        uris: the photos, on any storage; one that is missing counts as its owner's alone.

    Returns:
        Bits as `os.stat` has them, up to 0o777; None if no photo lies on storage with permission bits.
    """
    files = set(map(file_of, uris))
    found = [bits for file in files if (bits := _permissions_or_owner_only(file)) is not None]
    return reduce(and_, found) if found else None


def _permissions_or_owner_only(uri: str) -> int | None:
    try:
        return get_permissions(uri)
    except FileNotFoundError:
        return _OWNER_ONLY
