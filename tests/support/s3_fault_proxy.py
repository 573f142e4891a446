"""An S3 server in a process of its own, and a proxy in front of it that makes a share of the requests fail."""

import http.client
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

from tests.support.http_handler import ResettingHandler

FAULT_KINDS = ("slow_down", "internal", "reset", "timeout", "short", "trickle", "lost_answer")
SERVER_SCRIPT = """
import sys, time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def run_s3_server():
    """Run moto's S3 server in its own process, which ends when its standard input is closed; yields its port."""
    command = [sys.executable, "-W", "ignore", "-c", SERVER_SCRIPT]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:
        yield int(process.stdout.readline())
        process.stdin.close()


class FaultProxy:
    """Forwards requests to a server, and injects faults of `FAULT_KINDS`, drawn from a seed.

    Attributes:
        rate: share of the requests that fail.
        kinds: the kinds of faults that may be injected.
        timeout_s: how long `timeout` holds back an answer; the client must wait less.
        forwards_conditions: whether `If-None-Match` reaches the server; without it the endpoint ignores the condition.
        rejects_conditions: whether such a request is answered by 501, as by endpoints that do not support it.
        injected: number of faults by kind.
        requests: number of requests.
    """

    def __init__(self, upstream, rate=0.0, seed=0, kinds=FAULT_KINDS, timeout_s=2.0):
        self.upstream, self.rate, self.kinds, self.timeout_s = upstream, rate, kinds, timeout_s
        self.forwards_conditions, self.rejects_conditions = True, False
        self.injected, self.requests = Counter(), 0
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"proxy": self}))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def choose_fault(self, method):
        """Draw the fault of a request; None for most."""
        with self._lock:
            self.requests += 1
            kinds = [kind for kind in self.kinds if (method == "GET") or kind != "short"]
            kinds = [kind for kind in kinds if (method in ("PUT", "DELETE", "POST")) or kind != "lost_answer"]
            kind = self._random.choice(kinds) if kinds and self._random.random() < self.rate else None
            if kind:
                self.injected[kind] += 1
            return kind


class _Handler(ResettingHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else b""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            raise NotImplementedError("the clients of these tests send a Content-Length")
        kind = self.proxy.choose_fault(self.command)
        if self.proxy.rejects_conditions and self.headers["If-None-Match"]:
            return self._send_s3_error(501, "NotImplemented")
        if kind == "slow_down":
            return self._send_s3_error(503, "SlowDown")
        if kind == "internal":
            return self._send_s3_error(500, "InternalError")
        if kind == "reset":
            return self._reset_connection()
        if kind == "timeout":
            time.sleep(self.proxy.timeout_s)
            return self._reset_connection()
        status, headers, data = self._forward(body)
        if kind == "lost_answer":
            return self._reset_connection()
        self._send_answer(status, headers, data, kind)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815

    def _forward(self, body):
        dropped = {"connection"} if self.proxy.forwards_conditions else {"connection", "if-none-match"}
        headers = {key: value for key, value in self.headers.items() if key.lower() not in dropped}
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.upstream, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for key, value in headers.items():
                connection.putheader(key, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _send_answer(self, status, headers, data, kind=None):
        self.send_response_only(status)
        names = {key.lower() for key, _ in headers}
        for key, value in headers:
            if key.lower() not in ("transfer-encoding", "connection"):
                self.send_header(key, value)
        if "content-length" not in names:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if kind == "short" and data:
            self.wfile.write(data[: len(data) // 2])
            self._reset_connection()
        elif kind == "trickle":
            for start in range(0, len(data), max(1, len(data) // 8)):
                self.wfile.write(data[start : start + max(1, len(data) // 8)])
                time.sleep(0.01)
        else:
            self.wfile.write(data)

    def _send_s3_error(self, status, code):
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        self._send_answer(status, [("Content-Type", "application/xml")], body)
