"""Cached answers of the probes that find out what a store can do."""

from collections.abc import Callable

_PROBE_RESULTS: dict[str, bool] = {}  # folder or bucket → whether conditional creates work there


def probe_once(place: str, probe: Callable[[], bool]) -> bool:
    """Return the result of a probe of a place, probing once a process; a probe that raises is repeated next time."""
    if place not in _PROBE_RESULTS:
        _PROBE_RESULTS[place] = probe()
    return _PROBE_RESULTS[place]
