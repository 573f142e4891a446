"""A server on loopback that answers ListObjectsV2 over a set of keys, each page after a fixed time."""

import asyncio
import threading
from bisect import bisect_left, bisect_right
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, quote_plus, urlsplit

BUCKET = "bucket"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
_ITEM = (
    "<Contents><Key>{key}</Key><LastModified>2024-01-02T03:04:05.000Z</LastModified>"
    "<ETag>&quot;{number:032x}&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
    "<ChecksumType>FULL_OBJECT</ChecksumType><Size>{number}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class ListingServer:
    """The keys of one bucket, and what was asked of it.

    Attributes:
        keys: in the order of their code points.
        max_keys: the most keys of a page, whatever is asked for.
        delay_s: time before a page is sent.
        fails: called with the query of each request for a page; an error code of S3 is sent instead of the page.
        heeds_start_after: whether `StartAfter` is heeded, which some endpoints do not do.
        queries: those of the requests for pages.
        most_at_once: the most requests that were being answered at one time.
        port: on 127.0.0.1, once it serves.
    """

    def __init__(self, keys, max_keys=1000, delay_s=0.0):
        self.keys, self.max_keys, self.delay_s = sorted(keys), max_keys, delay_s
        self.fails, self.heeds_start_after = lambda query: None, True
        self.queries, self.most_at_once, self._n_active = [], 0, 0
        self.port = 0

    @property
    def environment(self):
        """Environment variables with which S3 clients use the server."""
        return ENVIRONMENT | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}

    async def serve(self, on_ready=lambda: None):
        """Serve until the task is cancelled."""
        server = await asyncio.start_server(self._answer_all, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        on_ready()
        async with server:
            await server.serve_forever()

    async def _answer_all(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                status, body = await self._answer(method, target)
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
                writer.write(b"" if method == "HEAD" else body)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, method, target):
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query, keep_blank_values=True).items()}
        if method != "GET" or query.get("list-type") != "2":
            return "404 Not Found", b""
        self.queries.append(query)
        self._n_active += 1
        self.most_at_once = max(self.most_at_once, self._n_active)
        await asyncio.sleep(self.delay_s)
        self._n_active -= 1
        if code := self.fails(query):
            return "403 Forbidden", f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        return "200 OK", self.page(query)

    def page(self, query):
        """Return the XML of a page that a query asks for."""
        prefix, token = query.get("prefix", ""), query.get("continuation-token", "")
        first = bisect_left(self.keys, prefix)
        if token:
            first = int(token)
        elif "start-after" in query and self.heeds_start_after:
            first = max(first, bisect_right(self.keys, query["start-after"]))
        end = min(first + min(int(query.get("max-keys", 1000)), self.max_keys), len(self.keys))
        while end > first and not self.keys[end - 1].startswith(prefix):
            end -= 1
        is_truncated = end < len(self.keys) and self.keys[end].startswith(prefix)
        items = "".join(
            _ITEM.format(key=quote_plus(self.keys[number], safe="/"), number=number) for number in range(first, end)
        )
        next_token = f"<NextContinuationToken>{end}</NextContinuationToken>" if is_truncated else ""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><EncodingType>url</EncodingType><IsTruncated>{str(is_truncated).lower()}"
            f"</IsTruncated>{next_token}{items}</ListBucketResult>"
        )
        return text.encode()


@contextmanager
def run_listing_server(keys, **options):
    """Run a server in a thread of this process until the context ends."""
    server, ready, made = ListingServer(keys, **options), threading.Event(), []

    async def run():
        made.extend([asyncio.get_running_loop(), asyncio.current_task()])
        with suppress(asyncio.CancelledError):
            await server.serve(ready.set)

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop, task = made
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
