"""Notifications of how a job ended, posted to a webhook."""

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
    """The recipients of notifications, with environment variables resolved.

    Attributes:
        url: the URL of the webhook, which is a secret; None without a webhook.
        webhook_label: the webhook in words that may be shown.
    """

    url: str | None = field(default=None, repr=False)
    webhook_label: str = ""

    def send(self, payload: Mapping[str, object]) -> None:
        """Send a JSON object to all recipients; one that cannot be reached is logged as a warning."""
        line = json.dumps(payload).encode()
        if self.url is not None:
            _post_webhook(self.url, self.webhook_label, line)


def make_notifier(notify: Notifications | None) -> Notifier:
    """Resolve the recipients of a job's notifications, before its work begins.

    Raises:
        ConfigError: the environment variable of the webhook is not set or holds no URL.
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
        label = f"at {urlsplit(url).hostname}"  # without the path, which is the secret
    return Notifier(url, label)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirects, so that notifications reach only the host that the job names."""

    def redirect_request(self, *_: object) -> None:
        """Return no request, which makes the redirect an error."""


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
        log.warning("the webhook %s could not be notified: %s", label, _describe_error(error))


def _send_request(request: urllib.request.Request) -> None:
    try:
        urllib.request.build_opener(_NoRedirects).open(request, timeout=_RESPONSE_TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        error.close()
        raise


def _is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed another time."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code == http.HTTPStatus.TOO_MANY_REQUESTS or error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, OSError | http.client.HTTPException)


def _describe_error(error: Exception) -> str:
    """Describe an error in words that never contain the URL."""
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code}"
    reason = getattr(error, "reason", error)
    return f"{type(reason).__name__} {getattr(reason, 'strerror', None) or ''}".strip()
