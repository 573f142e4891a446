"""A server on loopback that speaks enough of Google Cloud Storage, Azure Blob Storage, the Hub and HTTP for a client.

It holds the same objects for all of them, and answers with a fault when it is told to.
"""

import json
import re
import socket
import threading
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.http_handler import ResettingHandler

ACCOUNT = "devstoreaccount1"
_TIMESTAMP = "2026-01-02T03:04:05.000Z"


class CloudServer:
    """Objects by key, and the fault of the requests to come.

    Attributes:
        objects: key → bytes.
        fault: what requests for an object get: a status, "reset", "truncated", or None for a proper answer.
        n_faults: how many of the next requests get it.
        requests: the method and path of every request.
        port: on 127.0.0.1.
    """

    def __init__(self):
        self.objects, self.fault, self.n_faults, self.requests = {}, None, 0, []
        self.connections, self._lock = set(), threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"cloud": self}))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def fail(self, fault, times=10**6):
        self.fault, self.n_faults = fault, times

    def take_fault(self):
        with self._lock:
            if self.fault is None or not self.n_faults:
                return None
            self.n_faults -= 1
            return self.fault

    def close(self):
        """Stop listening, and end the connections that clients keep open."""
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def run_cloud_server():
    """Run a server until the context ends."""
    server = CloudServer()
    try:
        yield server
    finally:
        server.close()


class _Handler(ResettingHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.cloud.connections.add(self.connection)

    def _handle(self):
        length = int(self.headers.get("Content-Length", 0))
        self.body = self.rfile.read(length) if length else b""
        url = urlsplit(self.path)
        self.query = parse_qs(url.query, keep_blank_values=True)
        self.cloud.requests.append(f"{self.command} {self.path}")
        fault = self.cloud.take_fault()
        if fault == "reset":
            return self._reset_connection()
        if isinstance(fault, int):
            return self._send_fault(fault)
        self.truncated = fault == "truncated"
        for pattern, answer in _ROUTES:
            if match := re.fullmatch(pattern, url.path):
                return answer(self, *map(unquote, match.groups()))
        return self._send(404)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815

    def _send_fault(self, status):
        headers = {"Content-Type": "application/json", "x-ms-error-code": {403: "AuthorizationFailure"}.get(status, "")}
        self._send(status, json.dumps({"error": {"code": status, "message": "injected"}}).encode(), headers)

    def _send(self, status, data=b"", headers=None):
        self.send_response_only(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if getattr(self, "truncated", False) and status < 400:
            self.wfile.write(data[: len(data) // 2])
            return self._reset_connection()
        self.wfile.write(data)

    def _send_json(self, value):
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send_object(self, key, headers=None):
        data = self.cloud.objects.get(key)
        if data is None:
            return self._send(404, headers={"x-ms-error-code": "BlobNotFound", "X-Error-Code": "EntryNotFound"})
        headers = {"Last-Modified": formatdate(0, usegmt=True), "ETag": '"etag"', "Accept-Ranges": "bytes"} | {
            **(headers or {}),
            "X-Repo-Commit": "0" * 40,
        }
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("x-ms-range") or self.headers.get("Range") or "")
        if asked is None:
            return self._send(200, data, headers)
        start, end = int(asked[1]), min(int(asked[2] or 10**9), len(data) - 1)
        if start >= len(data):
            return self._send(416, b"", headers | {"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        return self._send(206, data[start : end + 1], headers)

    def _send_gcs_object(self, key):
        if self.query.get("alt") == ["media"]:
            return self._send_object(key)
        if self.command == "DELETE":
            return self._send(204 if self.cloud.objects.pop(key, None) is not None else 404)
        if key not in self.cloud.objects:
            return self._send(404)
        return self._send_json(self._gcs_item(key))

    def _gcs_item(self, key):
        return {
            "kind": "storage#object",
            "name": key,
            "bucket": "bucket",
            "size": str(len(self.cloud.objects[key])),
            "generation": "1",
            "updated": _TIMESTAMP,
            "timeCreated": _TIMESTAMP,
        }

    def _list_gcs(self):
        prefix = self.query.get("prefix", [""])[0]
        keys = [key for key in self.cloud.objects if key.startswith(prefix)]
        folders = {prefix + key[len(prefix) :].split("/")[0] + "/" for key in keys if "/" in key[len(prefix) :]}
        files = [self._gcs_item(key) for key in keys if "/" not in key[len(prefix) :]]
        self._send_json({"kind": "storage#objects", "items": files, "prefixes": sorted(folders)})

    def _upload_gcs(self):
        name = self.query.get("name", [""])[0]
        data = self.body
        if self.query.get("uploadType") == ["multipart"]:
            boundary = re.search(r"boundary=[\"']?([^\"';]+)", self.headers["Content-Type"])[1].encode()
            metadata, content = (re.split(rb"\r?\n\r?\n", part, maxsplit=1)[1] for part in self._parts(boundary))
            name, data = json.loads(metadata)["name"], content
        self.cloud.objects[name] = data
        self._send_json(self._gcs_item(name))

    def _parts(self, boundary):
        return [part.removesuffix(b"\n").removesuffix(b"\r") for part in self.body.split(b"--" + boundary)[1:3]]

    def _send_blob(self, key):
        if self.command == "PUT":
            self.cloud.objects[key] = self.body
            return self._send(201, headers={"ETag": '"etag"', "Last-Modified": formatdate(0, usegmt=True)})
        if self.command == "DELETE":
            return self._send(202 if self.cloud.objects.pop(key, None) is not None else 404)
        return self._send_object(key, {"x-ms-blob-type": "BlockBlob", "x-ms-creation-time": formatdate(0, usegmt=True)})

    def _list_blobs(self):
        """List the blobs below a prefix, without folders."""
        prefix, modified = self.query.get("prefix", [""])[0], formatdate(0, usegmt=True)
        blobs = "".join(
            f"<Blob><Name>{key}</Name><Properties><Content-Length>{len(data)}</Content-Length><Etag>etag</Etag>"
            f"<Last-Modified>{modified}</Last-Modified><BlobType>BlockBlob</BlobType></Properties></Blob>"
            for key, data in sorted(self.cloud.objects.items())
            if key.startswith(prefix)
        )
        answer = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
        self._send(200, answer.encode(), {"Content-Type": "application/xml"})

    def _send_repository(self, *_):
        self._send_json({"id": "me/photos", "sha": "0" * 40, "private": False, "tags": [], "downloads": 0, "likes": 0})

    def _send_paths(self, *_):
        asked = parse_qs(self.body.decode()).get("paths", []) or json.loads(self.body or b"{}").get("paths", [])
        self._send_json([self._hub_item(key) for key in self.cloud.objects if key in asked])

    def _send_tree(self, *_):
        self._send_json([self._hub_item(key) for key in self.cloud.objects])

    def _hub_item(self, key):
        return {"type": "file", "path": key, "size": len(self.cloud.objects[key]), "oid": "0" * 40}

    def finish(self):
        self.cloud.connections.discard(self.connection)
        super().finish()


_ROUTES = [
    (r"(?:/download)?/storage/v1/b/bucket/o/(.+)", _Handler._send_gcs_object),
    (r"/storage/v1/b/bucket/o/?", _Handler._list_gcs),
    (r"/storage/v1/b/bucket", lambda handler: handler._send_json({"kind": "storage#bucket", "name": "bucket"})),
    (r"/upload/storage/v1/b/bucket/o", _Handler._upload_gcs),
    (rf"/{ACCOUNT}/bucket/(.+)", _Handler._send_blob),
    (rf"/{ACCOUNT}/bucket/?", _Handler._list_blobs),
    (r"/api/datasets/me/photos(?:/revision/main)?", _Handler._send_repository),
    (r"/api/datasets/me/photos/paths-info/main", _Handler._send_paths),
    (r"/api/datasets/me/photos/tree/main.*", _Handler._send_tree),
    (r"/datasets/me/photos/resolve/\w+/(.+)", _Handler._send_object),
    (r"/files/(.+)", _Handler._send_object),
]
"""Pattern of a path → what answers it."""
