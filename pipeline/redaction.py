"""Finding credentials in URIs, and removing them from every text that is stored or shown."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

_USER = re.compile(
    r"(?:(?<=s3://)|(?<=s3a://)|(?<=://)(?![^/@\s:]*:\d{1,5}[/?#]))"  # of other protocols that is a port
    r"(?!arn:)[^/@\s:]*:(?!:)"
)
"""A name and the colon that a password follows."""
_PASSWORD_WITH_SLASHES, _PASSWORD_WITH_QUOTES = re.compile(r"[^\s\"'<>]*"), re.compile(r"[^/\s]*")
_TOKEN_AS_USER = re.compile(r"(?i)(?:(?<=https://)|(?<=http://))[^/@\s:?#]+(?=@)")
_SECRET_QUERY_VALUE = re.compile(
    r"(?i)(?<=[?&;])((?:[\w.-]*(?:signature|credential|token|secret|password|api[-_]?key|accountkey)|sig)=)[^&;\s'\"]+"
)
_SECRET_VARIABLE = re.compile(
    r"(?i)(?:secret|token|password|passwd|passphrase|connection_string|signature|sas|(?:access|account|storage|api|sas)_?key)$"
)
_FSSPEC_VARIABLE = re.compile(r"FSSPEC_[A-Z0-9]+")  # all settings of a protocol, as JSON
_MIN_SECRET_CHARS = 8  # shorter ones would be found in innocent words


def has_credentials(uri: str) -> bool:
    """Whether a URI holds a password (`s3://key:secret@bucket`), a token or the signature of a signed link.

    A local path never does, whatever it looks like.
    """
    if "://" not in uri or uri.startswith("file://"):
        return False
    has_password = next(_iter_passwords(uri), None) is not None
    return has_password or any(pattern.search(uri) for pattern in (_TOKEN_AS_USER, _SECRET_QUERY_VALUE))


def redact(text: str) -> str:
    """Return a text with `…` for the passwords and signatures of URIs and for the secrets of the environment."""
    text = _SECRET_QUERY_VALUE.sub(r"\1…", _TOKEN_AS_USER.sub("…", _redact_passwords(text)))
    for secret in sorted(_iter_secrets(os.environ), key=len, reverse=True):
        for spelling in (secret, quote(secret, safe="", errors="replace")):
            text = text.replace(spelling, "…")
    return text


def _redact_passwords(text: str) -> str:
    """Return a text with `…` for names with passwords."""
    pieces, offset = [], 0
    for start, end in _iter_passwords(text):
        pieces += [text[offset:start], "…"]
        offset = end
    return "".join((*pieces, text[offset:]))


def _iter_passwords(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each name with a password starts, and the @ that ends it.

    A password may have slashes as the secrets of AWS have: it ends at the last @ of the URI. Each URI is searched
    for it once, however many names may start there.
    """
    done = uri_end = last_at = -1
    for user in _USER.finditer(text):
        if user.start() < done:
            continue
        if user.end() >= uri_end:
            uri_end = _find_end(_PASSWORD_WITH_SLASHES, text, user.end())
            last_at = text.rfind("@", user.end(), uri_end)
        at = last_at
        if at < user.end():
            at = text.rfind("@", user.end(), _find_end(_PASSWORD_WITH_QUOTES, text, user.end()))
        if at >= user.end():
            done = at
            yield user.start(), at


def _find_end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Return where the match of a pattern, which may be empty, ends."""
    match = pattern.match(text, start)
    return start if match is None else match.end()


def _iter_secrets(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the values of variables whose names mark them as secrets: of AWS, Azure, Google, fsspec and others."""
    for name, value in environment.items():
        if _SECRET_VARIABLE.search(name) and len(value) >= _MIN_SECRET_CHARS:
            yield value
            if ";" in value:  # AccountName=…;AccountKey=…
                yield from _iter_secrets(dict(part.partition("=")[::2] for part in value.split(";")))
        elif _FSSPEC_VARIABLE.fullmatch(name):
            yield from _iter_secrets(_flatten_json(value))


def _flatten_json(value: str) -> dict[str, str]:
    """Return the names and values in the JSON settings of a protocol, those of nested objects included."""
    found: dict[str, str] = {}
    try:
        json.loads(value, object_pairs_hook=lambda pairs: found.update((name, str(each)) for name, each in pairs))
    except (ValueError, RecursionError):
        return {}
    return found
