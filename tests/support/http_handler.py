"""What test servers have in common that reset connections and are left by their clients."""

import socket
import struct
from http.server import BaseHTTPRequestHandler


class ResettingHandler(BaseHTTPRequestHandler):
    """A handler that can reset its connection, survives clients that are gone, and logs nothing."""

    disable_nagle_algorithm = True  # else a body waits 40 ms for the client to acknowledge the headers

    def _reset_connection(self):
        """Reset the connection (RST), whatever is being sent."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (OSError, ValueError):  # the client is gone, or the connection was reset
            self.close_connection = True

    def finish(self):
        try:
            super().finish()
        except (OSError, ValueError):
            return

    def log_message(self, *_):
        pass
