"""HTTP sessions that stay with the server that a URL names, and hold no endless answer."""

import socket
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pipeline.errors import StorageError

MAX_PAGE_BYTES = 64 * 2**20
"""The most bytes of an answer that is not streamed, such as the page of links that stands for a folder."""

_PUBLIC_HOSTS: set[str] = set()
"""Names that this process has seen public addresses of."""


async def make_session(**options: Any) -> aiohttp.ClientSession:  # noqa: ANN401 — whatever aiohttp accepts
    """Return a session that refuses redirects to other servers, and names of link-local addresses.

    Args:
        options: further options of `aiohttp.ClientSession`.
    """
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_foreign_redirect)
    options["headers"] = {"User-Agent": _user_agent()} | dict(options.get("headers") or {})
    options["trace_configs"] = [*options.get("trace_configs", ()), trace]
    options.setdefault("connector", aiohttp.TCPConnector(resolver=_GuardedResolver()))
    return aiohttp.ClientSession(response_class=_BoundedResponse, **options)


@cache
def _user_agent() -> str:
    """Return what servers get as the name of the client."""
    try:
        return f"deepot/{version('deepot')}"
    except PackageNotFoundError:
        return "deepot"


def is_same_server(source: URL, target: URL) -> bool:
    """Whether a redirect stays with the server that was named; it may change from http to https."""
    if source.origin() == target.origin():
        return True
    return (source.host, source.scheme, target.scheme) == (target.host, "http", "https") and (
        source.is_default_port() and target.is_default_port()
    )


async def _refuse_foreign_redirect(
    session: aiohttp.ClientSession, context: SimpleNamespace, redirect: aiohttp.TraceRequestRedirectParams
) -> None:
    headers, source = redirect.response.headers, redirect.response.url
    try:
        target = source.join(URL(headers.get("Location") or headers.get("URI") or ""))
        if is_same_server(source, target):
            return
        place = str(target.origin())
    except ValueError:  # no URL, or none of a server
        place = "something that is no address of a server"
    raise StorageError(
        f"{source.with_query(None)} redirects to {place}, which is another server than the one that was named: "
        "if you trust it, name the photo by the address there"
    )


class _GuardedResolver(AbstractResolver):
    """Leaves out addresses that no server of photos has, such as that of a cloud's metadata service."""

    def __init__(self) -> None:
        self._resolver = aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name: the public ones if it has any, or ever had.

        Raises:
            StorageError: it has no others.
            OSError: the name is not known.
        """
        found = await self._resolver.resolve(host, port, family)
        accepted = [each for each in found if not _is_link_local(each["host"])]
        if found and not accepted:
            raise StorageError(
                f"the name {host} leads to the link-local address {found[0]['host']}, where no photos are read from: "
                "find out where the name comes from"
            )
        if public := [each for each in accepted if _parse_address(each["host"]).is_global]:
            _PUBLIC_HOSTS.add(host)
            return public
        if accepted and host in _PUBLIC_HOSTS:
            raise StorageError(
                f"the name {host} had a public address and now leads to {accepted[0]['host']}, inside a network: "
                "find out who answers for that name"
            )
        return accepted

    async def close(self) -> None:
        """Release the resolver."""
        await self._resolver.close()


def _parse_address(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _is_link_local(text: str) -> bool:
    address = _parse_address(text)
    return address.is_link_local or address.is_multicast or address.is_unspecified


class _BoundedResponse(aiohttp.ClientResponse):
    """An answer of which `read` and `text` hold no more than `MAX_PAGE_BYTES`."""

    async def read(self) -> bytes:
        """Return the body.

        Raises:
            StorageError: it is longer.
        """
        if self._body is None:
            body = bytearray()
            async for chunk in self.content.iter_chunked(2**16):
                body += chunk
                if len(body) > MAX_PAGE_BYTES:
                    self.close()
                    raise StorageError(f"{self.url.with_query(None)}: the page has more than {MAX_PAGE_BYTES} bytes")
            self._body = bytes(body)
        return self._body
