"""What test servers have in common: a thread that serves, connections that are reset, clients that leave."""

import socket
import struct
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler


@contextmanager
def serve_in_thread(server):
    """Serve in a thread until the context ends; yields the URL of the server, which is closed then."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


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
