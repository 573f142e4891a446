"""Credentials: found in URIs, and taken out of every text that is kept or shown."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

_USER = re.compile(
    r"(?:(?<=s3://)|(?<=s3a://)|(?<=://)(?![^/@\s:]*:\d{1,5}[/?#]))"  # elsewhere that is a port
    r"(?!arn:)[^/@\s:]*:(?!:)(?:[^\s\"'<>]*|[^/\s]*)(?=@)"
)
"""A name and a password, which may have slashes in it as secrets of AWS have: up to the last @ that there is."""
_ALONE = re.compile(r"(?i)(?:(?<=https://)|(?<=http://))[^/@\s:?#]+(?=@)")
_QUERY = re.compile(
    r"(?i)(?<=[?&;])((?:[\w.-]*(?:signature|credential|token|secret|password|api[-_]?key|accountkey)|sig)=)[^&;\s'\"]+"
)
_NAMES = re.compile(
    r"(?i)(?:secret|token|password|passwd|passphrase|connection_string|signature|sas|(?:access|account|storage|api|sas)_?key)$"
)
_SETTINGS = re.compile(r"FSSPEC_[A-Z0-9]+")  # of a whole protocol, as JSON
_SHORTEST = 8  # characters: what is shorter would be found in innocent words


def holds_credentials(uri: str) -> bool:
    """Whether a URI holds a password (`s3://key:secret@bucket`), a token or the signature of a signed link.

    A local path holds none, whatever it looks like.
    """
    if "://" not in uri or uri.startswith("file://"):
        return False
    return any(pattern.search(uri) for pattern in (_USER, _ALONE, _QUERY))


def redacted(text: str) -> str:
    """A text without passwords and signatures of URIs, and without the secrets that the environment holds."""
    text = _QUERY.sub(r"\1…", _ALONE.sub("…", _USER.sub("…", text)))
    for secret in sorted(_secrets(os.environ), key=len, reverse=True):
        for shape in (secret, quote(secret, safe="", errors="replace")):
            text = text.replace(shape, "…")
    return text


def _secrets(environment: Mapping[str, str]) -> Iterator[str]:
    """Values of variables whose names say that they are secrets: of AWS, Azure, Google, fsspec and others."""
    for name, value in environment.items():
        if _NAMES.search(name) and len(value) >= _SHORTEST:
            yield value
            if ";" in value:  # AccountName=…;AccountKey=…
                yield from _secrets(dict(part.partition("=")[::2] for part in value.split(";")))
        elif _SETTINGS.fullmatch(name):
            yield from _secrets(_settings(value))


def _settings(value: str) -> dict[str, str]:
    """What a protocol's JSON says, groups in it included."""
    found: dict[str, str] = {}
    try:
        json.loads(value, object_pairs_hook=lambda pairs: found.update((name, str(each)) for name, each in pairs))
    except (ValueError, RecursionError):
        return {}
    return found
