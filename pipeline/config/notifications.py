"""The section of a job that names who is notified when it ends."""

import re

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from pipeline.config.sections import ConfigSection
from pipeline.config.uri_checks import is_http_url

ENV_PREFIX = "env:"
"""Precedes the name of an environment variable that holds a webhook's URL."""
_ENV_NAME = re.compile(r"[^\s/:=]+")
FILE_PREFIX = "file:"
"""Precedes the path of a local file that holds a webhook's URL."""


class Notifications(ConfigSection):
    """Who is notified when a job ends."""

    webhook: str | None = Field(
        None,
        description="env:NAME or file:PATH, which holds the URL that the JSON line of --json is posted to; the URL "
        "itself only in a job file",
        repr=False,
    )

    @field_validator("webhook")
    @classmethod
    def _check_webhook(cls, text: str | None) -> str | None:
        if text is None:
            return None
        if text.startswith(ENV_PREFIX):
            if _ENV_NAME.fullmatch(text.removeprefix(ENV_PREFIX)) is None:
                raise PydanticCustomError("webhook", "what follows env: must be the name of an environment variable")
        elif text.startswith(FILE_PREFIX):
            path = text.removeprefix(FILE_PREFIX)
            if not path.strip("/") or is_http_url(path):
                raise PydanticCustomError("webhook", "what follows file: must be the path of a local file")
        elif not is_http_url(text):
            raise PydanticCustomError("webhook", "it must be env:NAME, file:PATH, or an http:// or https:// URL")
        elif "@" in text.partition("://")[2].partition("/")[0]:
            raise PydanticCustomError("webhook", "a URL with a user name or password is not accepted")
        return text
