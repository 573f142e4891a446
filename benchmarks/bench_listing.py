"""Listing S3: keys per second by the number of streams, by requests, memory and CPU.

    python benchmarks/bench_listing.py --keys 1000000 --json bench-output/bench_listing.json

A server on loopback, in a process of its own, answers each page of ListObjectsV2 after 100 ms. Keys are listed as a
job's input is, names and extensions included. Every kind of key space is listed by one stream and by several, and the
two listings must be the same. One stream lists only the first keys, as its rate does not depend on how many there are.
Then inventories on the disk, in both formats, are listed, and the XML of one page is parsed as this program does it
and as botocore does.
"""

import asyncio
import hashlib
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

import botocore.parsers
import botocore.session

from benchmarks._results import make_parser, peak_rss_mib, save_results
from pipeline.sources import find_images
from pipeline.storage.s3_pages import parse_page
from tests.support.inventories import InventoryRow, write_inventory
from tests.support.listing_server import BUCKET, ListingServer


def _folders(n_keys: int, per_folder: int) -> list[str]:
    return [f"box-{n // per_folder:05d}/scan-{n % per_folder:06d}.jpg" for n in range(n_keys)]


def _skewed(n_keys: int) -> list[str]:
    """Ninety-five of a hundred photos in one folder."""
    return [f"all/scan_{n:08d}.tif" if n % 20 else f"{'abcxyz'[n // 20 % 6]}/{n}.tif" for n in range(n_keys)]


def _dated(n_keys: int) -> list[str]:
    """Folders of days, of very different sizes."""
    rng = random.Random(0)
    days = [f"{year}/{month:02d}/{day:02d}" for year in range(1990, 2024) for month in range(1, 13) for day in (3, 17)]
    weights = [rng.paretovariate(0.7) for _ in days]
    return [f"{day}/IMG_{n:08d}.jpg" for n, day in enumerate(rng.choices(days, weights, k=n_keys))]


KEY_SPACES: dict[str, Callable[[int], list[str]]] = {
    "flat counter": lambda n_keys: [f"IMG_{n:09d}.jpg" for n in range(n_keys)],
    "hashes": lambda n_keys: [f"{hashlib.md5(b'%d' % n).hexdigest()}.jpg" for n in range(n_keys)],
    "folders of 300": lambda n_keys: _folders(n_keys, 300),
    "folders of 5,000": lambda n_keys: _folders(n_keys, 5000),
    "folders of days": _dated,
    "one large folder": _skewed,
}


def serve(n_keys: int, delay_s: float, pipe: Connection) -> None:
    """Send the port; then take kinds of key spaces, each with the number of requests since the last one as answer."""
    server = ListingServer((), delay_s=delay_s)

    async def run() -> None:
        task = asyncio.create_task(server.serve(lambda: pipe.send(server.port)))
        while kind := await asyncio.to_thread(pipe.recv):
            server.keys = sorted(KEY_SPACES[kind](n_keys)) if kind in KEY_SPACES else server.keys
            pipe.send(len(server.queries))
            server.queries.clear()
        task.cancel()

    asyncio.run(run())


def measure(streams: int, n_keys: int | None, n_hashed: int, pipe: Connection) -> dict[str, Any]:
    """List the keys, or the first of them, and return what that took, and a hash of the first."""
    digest, found = hashlib.sha256(), 0
    pipe.send("the same")
    pipe.recv()
    started, cpu = time.perf_counter(), time.process_time()
    for entry in islice(find_images(f"s3://{BUCKET}/", "input", streams=streams), n_keys):
        if found < n_hashed:
            digest.update(f"{entry.key} {entry.size} {entry.etag}\n".encode())
        found += 1
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    pipe.send("the same")
    n_requests = pipe.recv()
    return {
        "streams": streams,
        "keys": found,
        "keys_per_s": found / seconds,
        "requests_per_page": n_requests / (found / 1000),
        "cpu_ms_per_page": 1e3 * cpu / (found / 1000),
        "peak_rss_mib": peak_rss_mib(),
        "sha256": digest.hexdigest(),
    }


def measure_inventory(file_format: str, n_keys: int) -> dict[str, Any]:
    """List keys by an inventory on the disk, whose rows are in no order, and return what that took."""
    keys = KEY_SPACES["folders of 5,000"](n_keys)
    random.Random(0).shuffle(keys)
    with tempfile.TemporaryDirectory() as folder:
        rows = [InventoryRow(key) for key in keys]
        uri = write_inventory(folder, [rows[number::8] for number in range(8)], file_format)
        del rows, keys
        started, cpu, found = time.perf_counter(), time.process_time(), 0
        for _ in find_images("s3://photos/*/*", "input", inventory=uri):
            found += 1
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"format": file_format, "keys": found, "keys_per_s": found / seconds, "cpu_us_per_key": 1e6 * cpu / found}


def measure_parsers(repetitions: int = 20) -> dict[str, float]:
    """Return the milliseconds of CPU for parsing the XML of a page of a thousand keys, by the parser."""
    model = botocore.session.get_session().get_service_model("s3").operation_model("ListObjectsV2")
    parser = botocore.parsers.create_parser(model.metadata["protocol"])
    page = ListingServer(KEY_SPACES["flat counter"](1000)).page({})
    answer = {"status_code": 200, "headers": {}, "body": page}
    parsers: dict[str, Callable[[], object]] = {
        "ElementTree": lambda: parse_page(page),
        "botocore": lambda: parser.parse(answer, model.output_shape),
    }
    found = {}
    for name, parse in parsers.items():
        started = time.process_time()
        for _ in range(repetitions):
            parse()
        found[name] = 1e3 * (time.process_time() - started) / repetitions
    return found


def main() -> None:
    """Parse the command line, measure, print and save."""
    parser = make_parser(__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--keys-sequential", type=int, default=50_000, help="that one stream lists")
    parser.add_argument("--streams", type=int, nargs="+", default=[16])
    parser.add_argument("--delay", type=float, default=0.1, help="seconds for a page")
    parser.add_argument("--kinds", nargs="+", default=list(KEY_SPACES), choices=list(KEY_SPACES))
    parser.add_argument("--inventory-keys", type=int, default=300_000, help="that inventories list; 0: none")
    options = parser.parse_args()
    context, rows = multiprocessing.get_context("spawn"), []
    pipe, other_end = context.Pipe()
    server = context.Process(target=serve, args=(options.keys, options.delay, other_end))
    server.start()
    os.environ |= ListingServer(()).environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{pipe.recv()}"}
    print(f"{'keys':18}{'streams':>8}{'keys/s':>10}{'ratio':>7}{'requests/page':>15}{'CPU ms/page':>13}{'MiB':>6}")
    for kind in options.kinds:
        pipe.send(kind)
        pipe.recv()
        n_first = min(options.keys, options.keys_sequential)
        one = measure(1, n_first, n_first, pipe)
        for row in [one, *(measure(streams, None, n_first, pipe) for streams in options.streams)]:
            if row["sha256"] != one["sha256"]:
                raise ValueError(f"{kind}: {row['streams']} streams list other keys than one")
            row |= {"kind": kind, "ratio": row["keys_per_s"] / one["keys_per_s"]}
            print(
                f"{kind:18}{row['streams']:8}{row['keys_per_s']:10,.0f}{row['ratio']:7.1f}{row['requests_per_page']:15.2f}"
                f"{row['cpu_ms_per_page']:13.1f}{row['peak_rss_mib']:6.0f}",
                flush=True,
            )
            rows.append(row)
    pipe.send("")
    server.join()
    for file_format in ("Parquet", "CSV") if options.inventory_keys else ():
        rows.append(measure_inventory(file_format, options.inventory_keys))
        print(f"inventory in {file_format}: {rows[-1]['keys_per_s']:,.0f} keys/s, {rows[-1]['cpu_us_per_key']:.1f} µs")
    rows.append({"parsers_cpu_ms_per_page": (parsers := measure_parsers())})
    print("CPU ms for the XML of a page: " + ", ".join(f"{name} {value:.1f}" for name, value in parsers.items()))
    save_results(options.json, options, rows)


if __name__ == "__main__":
    main()
