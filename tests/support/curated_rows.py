"""Manifest rows of a run whose photos are curated."""

from pipeline.runs import new_row
from pipeline.storage import Entry, sha256_hex

HASHES = {
    "a.jpg": "ffff0000ffff0000",
    "a copy.jpg": "ffff0000ffff0001",
    "sub/a small.png": "fffe0000ffff0001",
    "b.jpg": "0123456789abcdef",
    "b again.jpg": "0123456789abcdef",
    "c.jpg": "aaaa5555aaaa5555",
}


def row(name, shard=0, **values):
    data = f"photo {name} {shard}".encode()
    entry = Entry(f"/in/{name}", name, len(data), "", 0.0)
    done = {"status": "ok", "output_uri": f"/out/{name}", "output_sha256": sha256_hex(data), "width": 40, "height": 30}
    return new_row(entry, shard, 1) | done | values
