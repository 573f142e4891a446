"""The server that a URL names."""

from yarl import URL


def server_of(url: str) -> tuple[str, str] | None:
    """Return the server of a URL (scheme, host and port), and the path as it is sent; None if it has no server."""
    try:
        parsed = URL(url)
        return str(parsed.origin()), parsed.raw_path
    except ValueError:
        return None
