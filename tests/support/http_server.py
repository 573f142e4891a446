"""A web server on a free port of loopback, with answers of every kind and a record of what it was asked."""

import re
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.http_handler import serve_in_thread


class WebServer:
    """What the server has, how it behaves, and what it was asked.

    Attributes:
        files: path → contents.
        redirects: path → where it redirects to.
        statuses: path → a status that is answered instead.
        endless: paths whose bodies never end; `sent` counts their bytes.
        has_ranges: whether requests for a range are heeded.
        has_head: whether HEAD is answered.
        has_lengths: whether bodies come with their lengths, etags and dates.
        requests: method and path of each request.
    """

    def __init__(self):
        self.files, self.redirects, self.statuses, self.endless = {}, {}, {}, set()
        self.has_ranges = self.has_head = self.has_lengths = True
        self.mtime, self.sent, self.requests, self.url = 1_700_000_000, 0, [], ""


class Handler(BaseHTTPRequestHandler):
    """Answers one request as the `WebServer` of its server says."""

    disable_nagle_algorithm = True  # else a body waits 40 ms for the client to acknowledge the headers

    @property
    def web(self):
        return self.server.web

    def do_HEAD(self):
        self.respond(self.web.has_head)

    def do_GET(self):
        self.respond(True)

    def respond(self, answers):
        self.web.requests.append(f"{self.command} {self.path}")
        if not answers:
            self.send_error(405)
        elif self.path in self.web.redirects:
            self.send_response(302)
            self.send_header("Location", self.web.redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path in self.web.endless:
            self.send_endlessly()
        elif status := self.web.statuses.get(self.path, 0 if self.path in self.web.files else 404):
            self.send_error(status)
        else:
            self.send_file(self.web.files[self.path])

    def send_file(self, data):
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if match and self.web.has_ranges:
            start, end = int(match[1]), min(int(match[2]) + 1, len(data))
            if start >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
            data = data[start:end]
        else:
            self.send_response(200)
        if self.web.has_lengths:
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hash(data):08x}"')
            self.send_header("Last-Modified", formatdate(self.web.mtime, usegmt=True))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def send_endlessly(self):
        self.send_response(200)
        self.end_headers()
        try:
            while self.command == "GET" and self.web.sent < 2**32:
                self.web.sent += self.wfile.write(bytes(2**16))
        except OSError:  # the client has hung up
            self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def run_web_server():
    """Yield the `WebServer` of a server that runs in a thread; `url` is its address."""
    web = WebServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.web, server.daemon_threads = web, True
    with serve_in_thread(server) as web.url:
        yield web
