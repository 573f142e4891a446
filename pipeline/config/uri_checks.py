"""Checks of all texts in a job file for mistyped URIs and for credentials, before the job is validated."""

import re
from collections.abc import Iterator

from pipeline.redaction import has_credentials, redact

_SINGLE_SLASH_SCHEME = re.compile(r"(s3a?|gs|gcs|az|abfss?|hdfs):/(?!/)")


def check_uris(content: object) -> None:
    """Check every text in the content of a job file, except the webhook's URL.

    Raises:
        ValueError: a URI has one slash after its scheme, or holds credentials.
    """
    for text in _iter_texts(_without_webhook(content)):
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


def _iter_texts(content: object) -> Iterator[str]:
    """Yield all texts in a job file's content; values that YAML aliases repeat without end are visited once."""
    pending, seen_ids = [content], set[int]()
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list) and id(value) not in seen_ids:
            seen_ids.add(id(value))
            pending += value.values() if isinstance(value, dict) else value
