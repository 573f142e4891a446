"""The token by which the processes of a Ray on this machine know each other."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

_MODE_ENV, _TOKEN_ENV, _KUBERNETES_ENV = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_K8S_TOKEN_AUTH"


@contextmanager
def random_token() -> Iterator[None]:
    """Give a Ray that starts within the context a random token, which is in its processes' environment alone.

    Left to itself, Ray writes one below the home folder, which may not be writable, and every later Ray of the user
    has the same. If `RAY_AUTH_MODE` is `disabled`, nothing changes.
    """
    if os.environ.get(_MODE_ENV, "").lower() not in ("", "token"):
        yield
        return
    settings = {_MODE_ENV: "token", _TOKEN_ENV: secrets.token_hex(32), _KUBERNETES_ENV: "0"}
    previous = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    _reload_settings()
    try:
        yield
    finally:
        for name, value in previous.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        _reload_settings()


def _reload_settings() -> None:
    """Let Ray in this process read the variables again: it keeps the mode and the token from their first use."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # not in its stub

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
