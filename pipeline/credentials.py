"""Credentials: found in URIs, and taken out of every text that is kept or shown."""

import os
import re

_USER = re.compile(r"(?<=://)[^/@\s:]*:[^/@\s]*(?=@)")
_QUERY = re.compile(r"(?i)(?<=[?&])((?:x-amz-(?:signature|security-token|credential)|signature|sig|token)=)[^&\s'\"]+")
_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_SHORTEST = 8  # characters: what is shorter would be found in innocent words


def holds_credentials(uri: str) -> bool:
    """Whether a URI holds a password (`s3://key:secret@bucket`) or the signature of a signed link."""
    return bool(_USER.search(uri) or _QUERY.search(uri))


def redacted(text: str) -> str:
    """A text without passwords and signatures of URIs, and without the secrets that the environment holds."""
    text = _QUERY.sub(r"\1…", _USER.sub("…", text))
    for name in _VARIABLES:
        secret = os.environ.get(name, "")
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "…")
    return text
