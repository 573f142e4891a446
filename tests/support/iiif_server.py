"""A IIIF server on loopback: documents, and an Image API that refuses what its limits do not allow."""

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from tests.support.http_handler import serve_in_thread

CONTEXTS = {
    1: "http://library.stanford.edu/iiif/image-api/1.1/context.json",
    2: "http://iiif.io/api/image/2/context.json",
    3: "http://iiif.io/api/image/3/context.json",
}


@dataclass
class StoredImage:
    """An image of the server, with what its Image API allows."""

    width: int = 1000
    height: int = 800
    version: int = 3
    level: int = 2
    limits: dict = field(default_factory=dict)
    sizes: tuple = ()
    formats: tuple = ()
    etag: str = "1"
    data: bytes = b""

    def info(self, uri):
        """The `info.json` of the image."""
        sizes = [{"width": width, "height": height} for width, height in self.sizes]
        common = {"@context": CONTEXTS[self.version], "width": self.width, "height": self.height}
        if self.version == 3:
            extra = {"type": "ImageService3", "profile": f"level{self.level}", "extraFormats": list(self.formats)}
            return common | extra | self.limits | {"id": uri, "sizes": sizes}
        if self.version == 2:
            details = {"formats": list(self.formats), **self.limits}
            profile = [f"http://iiif.io/api/image/2/level{self.level}.json", details]
            return common | {"@id": uri, "profile": profile, "sizes": sizes}
        profile = f"http://library.stanford.edu/iiif/image-api/1.1/compliance.html#level{self.level}"
        return common | {"@id": uri, "profile": profile, "formats": ["jpg", *self.formats]}

    def render(self, size, quality, image_format):
        """The bytes that a request gets; None if it is refused."""
        if quality != ("native" if self.version == 1 else "default"):
            return None
        if image_format not in ("jpg", *self.formats, *(("png",) if self.level == 2 else ())):
            return None
        found = self.resolve_size(size)
        if found is None:
            return None
        return self.data or f"{found[0]}x{found[1]}.{image_format}".encode()

    def resolve_size(self, size):
        """Width and height of a requested size; None if the server refuses it."""
        full = self.width, self.height
        if size == "max" and self.version == 3:
            return full if self.allows(*full) else "max"
        if size == "full" and self.version < 3:
            return full if self.allows(*full) else None
        if match := re.fullmatch(r"(\d+),(\d+)", size):
            listed = int(match[1]), int(match[2])
            return listed if listed in self.sizes and self.allows(*listed) else None
        if (match := re.fullmatch(r"(\d+),", size)) and self.level > 0:
            width = int(match[1])
            scaled = width, max(1, round(self.height * width / self.width))
            return scaled if 0 < width <= self.width and self.allows(*scaled) else None
        return None

    def allows(self, width, height):
        """Whether a size is within the limits."""
        max_width = self.limits.get("maxWidth", 10**9)
        max_height = self.limits.get("maxHeight", max_width)
        return width <= max_width and height <= max_height and width * height <= self.limits.get("maxArea", 10**18)


class IiifServer:
    """What the server has, and what it was asked.

    Attributes:
        documents: path → JSON, or bytes.
        images: identifier → `StoredImage`.
        refusals: path → status and headers of its next answers, used up one by one.
        requests: method and path of each request.
        agents: the clients' names.
        most_at_once: the most requests that were answered at a time.
        waits_for: how many requests must have come before any is answered; 0 for no waiting.
    """

    def __init__(self):
        self.documents, self.images, self.refusals, self.requests, self.agents = {}, {}, {}, [], set()
        self.url, self.most_at_once, self.waits_for, self.active = "", 0, 0, 0
        self.changed = threading.Condition()

    def service(self, identifier):
        """The address of an image's service."""
        return f"{self.url}/iiif/{identifier}"


class Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        iiif = self.server.iiif
        iiif.requests.append(f"{self.command} {self.path}")
        iiif.agents.add(self.headers.get("User-Agent"))
        with iiif.changed:
            iiif.active += 1
            iiif.most_at_once = max(iiif.most_at_once, iiif.active)
            iiif.changed.notify_all()
            iiif.changed.wait_for(lambda: iiif.most_at_once >= iiif.waits_for, 20)
        try:
            self.answer(iiif)
        finally:
            with iiif.changed:
                iiif.active -= 1

    def answer(self, iiif):
        if iiif.refusals.get(self.path):
            status, headers = iiif.refusals[self.path].pop(0)
            self.send(status, b"", headers)
        elif self.path in iiif.documents:
            document = iiif.documents[self.path]
            self.send(200, document if isinstance(document, bytes) else json.dumps(document).encode(), {})
        elif match := re.fullmatch(r"/iiif/([^/]+)/info\.json", self.path):
            image = iiif.images.get(unquote(match[1]))
            self.send(
                200 if image else 404, json.dumps(image.info(iiif.service(match[1]))).encode() if image else b"", {}
            )
        elif match := re.fullmatch(r"/iiif/([^/]+)/full/([^/]+)/0/(\w+)\.(\w+)", self.path):
            image = iiif.images.get(unquote(match[1]))
            data = image.render(match[2], match[3], match[4]) if image else b""
            self.send(
                404 if image is None else 400 if data is None else 200,
                data or b"",
                {"ETag": f'"{image and image.etag}"'},
            )
        else:
            self.send(404, b"", {})

    def send(self, status, data, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@contextmanager
def run_iiif_server():
    """Yield the `IiifServer` of a server that runs in a thread."""
    iiif = IiifServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.iiif, server.daemon_threads = iiif, True
    with serve_in_thread(server) as iiif.url:
        yield iiif
