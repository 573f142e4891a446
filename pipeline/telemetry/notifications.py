"""Notifications of how a job ended, posted to a webhook."""

import http.client
import json
import logging
import os
import stat
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from pipeline.config import ENV_PREFIX, FILE_PREFIX, Notifications, is_http_url
from pipeline.errors import ConfigError

log = logging.getLogger(__name__)

_RESPONSE_TIMEOUT_S, _MAX_ATTEMPTS, _RETRY_WAIT_S = 10.0, 3, 1.0
_MAX_SECRET_CHARACTERS = 10_000


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
        ConfigError: the environment variable or the file of the webhook is missing or holds no URL.
    """
    if notify is None or notify.webhook is None:
        return Notifier()
    given = notify.webhook
    if given.startswith(ENV_PREFIX):
        name = given.removeprefix(ENV_PREFIX)
        return Notifier(_require_url(given, f"the environment variable {name}", os.environ.get(name)), f"in {name}")
    if given.startswith(FILE_PREFIX):
        path = os.path.expanduser(given.removeprefix(FILE_PREFIX))
        return Notifier(_require_url(given, f"the file {path}", _read_secret(given, path)), f"in {path}")
    return Notifier(given, f"at {urlsplit(given).hostname}")  # without the path, which is the secret


def _require_url(given: str, place: str, text: str | None) -> str:
    """Return the URL that an environment variable or a file holds; messages do not show what it holds.

    Raises:
        ConfigError: it holds none.
    """
    url = (text or "").strip()
    if not url or not is_http_url(url) or len(url.splitlines()) > 1:
        problem = "is not set" if text is None else "is empty" if not url else "holds no http:// or https:// URL"
        raise ConfigError(f"notify.webhook is {given}, but {place} {problem}")
    return url


def _read_secret(given: str, path: str) -> str:
    """Read a short text file; warns if every user of the machine can read it.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            if os.fstat(file.fileno()).st_mode & stat.S_IROTH:
                log.warning("every user of this machine can read the webhook in %s: chmod 600 %s", path, path)
            return file.read(_MAX_SECRET_CHARACTERS)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"notify.webhook is {given}, but the file {path} cannot be read ({reason}): write the URL into it"
        ) from error


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
