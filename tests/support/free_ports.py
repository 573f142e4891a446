"""Ports on loopback that nothing listens on."""

import contextlib
import socket


def find_free_ports(count):
    """Different ports, each of which was free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
