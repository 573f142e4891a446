"""Checks of all texts in a job file, before it is validated: characters that cannot be stored, URIs, credentials."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from pipeline.redaction import has_credentials, redact
from pipeline.storage import has_unstorable_characters, is_local_path

_SINGLE_SLASH_SCHEME = re.compile(r"(s3a?|gs|gcs|az|abfss?|hdfs):/(?!/)")


_PATH_KEYS = frozenset(
    (
        "input",
        "input.images",
        "output",
        "output.uri",
        "calibration.reference",
        "calibration.reference.images",
        "calibration.restored",
        "calibration.restored.images",
        "map",
        "run",
        "evaluate.clean",
    )
)
"""Keys whose local paths may hold bytes that are not UTF-8, as file names may; they are stored escaped."""
_WEBHOOK_KEY = "notify.webhook"


def check_texts(content: object) -> None:
    """Check that every text in the content of a job file, keys included, can be stored and sent.

    Raises:
        ValueError: one holds half a surrogate pair or a zero byte; the message names its key.
    """
    for key, text in _iter_texts(content):
        is_path = key in _PATH_KEYS and (is_local_path(text) or text.startswith("file://"))
        if has_unstorable_characters(text, allow_bytes=is_path):
            shown = "its value" if key == _WEBHOOK_KEY else redact(ascii(text))
            raise ValueError(
                f"{ascii(key) if key else 'the name of a key'}: {shown} holds a character that is not valid Unicode, "
                "such as half a surrogate pair, and cannot be stored: write it in UTF-8, or leave it out"
            )


def check_uris(content: object) -> None:
    """Check every text in the content of a job file, except the webhook's URL.

    Raises:
        ValueError: a URI has one slash after its scheme, or holds credentials.
    """
    for _, text in _iter_texts(_without_webhook(content)):
        if slip := _SINGLE_SLASH_SCHEME.match(text):
            raise ValueError(f"'{text}' would be a local folder '{slip[0]}': write {slip[1]}://{text[slip.end() :]}")
        if has_credentials(text):
            raise ValueError(
                f"{redact(text)} holds credentials, which would end up in run.json, manifests and reports: "
                "remove them, and set them in the environment (AWS_PROFILE, AWS_ACCESS_KEY_ID, …)"
            )


def _without_webhook(content: object) -> object:
    """Return a job file's content without the one secret that it may hold, which is never stored or shown."""
    if isinstance(content, dict) and isinstance(notify := content.get("notify"), dict):
        return content | {"notify": {key: value for key, value in notify.items() if key != "webhook"}}
    return content


def _iter_texts(content: object) -> Iterator[tuple[str, str]]:
    """Yield all texts in a job file's content with their dotted keys, and the names of keys with an empty one.

    Values that YAML aliases repeat without end are visited once.
    """
    pending, seen_ids = [("", content)], set[int]()
    while pending:
        key, value = pending.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict | list | tuple) and id(value) not in seen_ids:
            seen_ids.add(id(value))
            if isinstance(value, dict):
                pending += ((f"{key}.{name}".lstrip("."), each) for name, each in value.items())
                yield from (("", name) for name in value if isinstance(name, str))
            else:
                pending += ((key, each) for each in value)


def is_http_url(url: str) -> bool:
    """Whether a text is an http:// or https:// URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
