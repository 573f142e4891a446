"""Globs over the paths of objects, matched in time proportional to the path whatever it contains."""

import fnmatch
import re
from collections.abc import Callable

from pipeline.errors import StorageError


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """Return whether a path matches a glob: `*`, `?` and `[…]` within a part, `**` for any number of parts.

    Raises:
        StorageError: `**` is not an entire part.
    """
    parts = pattern.split("/")
    if wrong := next((part for part in parts if "**" in part and part != "**"), None):
        raise StorageError(
            f"'{pattern}': ** has to stand alone between slashes, but a part is '{wrong}'; write a single *"
        )
    # a part that is a single * does not match an empty name; fnmatch never goes back from one * to an earlier one
    texts = ["?*" if part == "*" else part for part in parts]
    matchers = [None if text == "**" else re.compile(fnmatch.translate(text)) for text in texts]

    def matches(path: str) -> bool:
        return _match_parts(matchers, path.split("/"))

    return matches


def _match_parts(matchers: list[re.Pattern[str] | None], components: list[str]) -> bool:
    """Whether patterns, of which None stands for `**`, match the components of a path one after the other."""
    positions = {0}
    for number, matcher in enumerate(matchers, 1):
        if matcher is None:
            first = min(positions)
            if first == len(components) or number == len(matchers):
                return first < len(components)
            # an empty component alone, as in a//b, is not one of any number
            positions |= {first + 1} if components[first] else set()
            positions |= set(range(first + 2, len(components)))
        else:
            positions = {each + 1 for each in positions if each < len(components) and matcher.match(components[each])}
        if not positions:
            return False
    return len(components) in positions
