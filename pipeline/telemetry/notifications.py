"""Notify: whoever a job names is told how it ended."""

import http.client
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from pipeline.config import ENV_PREFIX, Notifications, is_http_url
from pipeline.errors import ConfigError

log = logging.getLogger(__name__)

_RESPONSE_TIMEOUT_S, _MAX_ATTEMPTS, _RETRY_WAIT_S = 10.0, 3, 1.0


@dataclass(frozen=True)
class Notifier:
    """Whom to tell, all of it looked up.

    Attributes:
        url: of the webhook, which is a secret; None for none.
        webhook_label: the webhook as it may be shown.
    """

    url: str | None = field(default=None, repr=False)
    webhook_label: str = ""

    def send(self, payload: Mapping[str, object]) -> None:
        """Send a line of JSON to all of them; where one cannot be told that is a warning and nothing else."""
        line = json.dumps(payload).encode()
        if self.url is not None:
            _post_webhook(self.url, self.webhook_label, line)


def make_notifier(notify: Notifications | None) -> Notifier:
    """Look up whom a job wants told, before its work begins.

    Raises:
        ConfigError: the webhook's environment variable is not set or holds no URL.
    """
    if notify is None:
        return Notifier()
    url, label = notify.webhook, ""
    if url is not None and url.startswith(ENV_PREFIX):
        name = url.removeprefix(ENV_PREFIX)
        label, url = f"in {name}", os.environ.get(name)
        if not url or not is_http_url(url):
            problem = "holds no http:// or https:// URL" if url else "is not set"
            raise ConfigError(f"notify.webhook is {notify.webhook}, but the environment variable {name} {problem}")
    elif url is not None:
        label = f"at {urlsplit(url).hostname}"  # the path of a webhook is what lets one post to it
    return Notifier(url, label)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is posted goes where the job says and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        """Follow none: the redirect is an error then."""


def _post_webhook(url: str, label: str, line: bytes) -> None:
    retrying = Retrying(
        retry=retry_if_exception(_is_transient),
        stop=stop_after_attempt(_MAX_ATTEMPTS),
        wait=wait_fixed(_RETRY_WAIT_S),
        reraise=True,
    )
    try:
        request = urllib.request.Request(url, line, {"Content-Type": "application/json", "User-Agent": "deepot"})
        retrying(_send_request, request)
    except (OSError, http.client.HTTPException, ValueError) as error:
        log.warning("the webhook %s was not told: %s", label, _describe_error(error))


def _send_request(request: urllib.request.Request) -> None:
    try:
        urllib.request.build_opener(_NoRedirects).open(request, timeout=_RESPONSE_TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        error.close()
        raise


def _is_transient(error: BaseException) -> bool:
    """Whether the same post may be taken another time."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code == http.HTTPStatus.TOO_MANY_REQUESTS or error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, OSError | http.client.HTTPException)


def _describe_error(error: Exception) -> str:
    """An error in words that never hold the URL."""
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code}"
    reason = getattr(error, "reason", error)
    return f"{type(reason).__name__} {getattr(reason, 'strerror', None) or ''}".strip()
