"""Generated runs with odd names for the tests of exports; their photos are bytes, or small photos if asked for."""

import random

from pipeline.storage import escape_filename, sha256_hex
from tests.pipeline.provenance.conftest import CODES, make_row, write_run

_ODD = [
    "plain", "with space", " leading", "Grüße", "日本語", "привет", "e\u0301", "100%", "%0A", "%2F", "it's", '"quoted"',
    "a#b", "?query", "&amp;", "<tag>", "semi;colon", "comma,", "tab\there", "line\nbreak", "-dash", "~home", "*star",
    "back\\slash", "trailing ", "🖼", "\u200fשלום", "x" * 180, "é" * 90, "dot.in.name", "CON", "+plus", "=eq", "[b]{c}",
    "\udcff\udcfe",
]  # fmt: skip
_SUFFIXES = [".jpg", ".JPG", ".png", ".tif"]
_FORMATS = {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF"}
_STATUSES = ["ok"] * 6 + ["rejected", "failed", "skipped"]


def make_names(random_source, count):
    """Different odd names in a few folders."""
    names = {}
    while len(names) < count:
        folders = random_source.sample(_ODD, random_source.randrange(3))
        stem = random_source.choice(_ODD) + random_source.choice(["", str(random_source.randrange(100))])
        name = escape_filename("/".join([*folders, stem + random_source.choice(_SUFFIXES)]))
        names.setdefault(name.casefold(), name)
    return list(names.values())


def make_export_run(folder, seed, make_photo=None, **changes):
    """Write a generated run below a folder; returns it with its rows.

    Args:
        folder: the folder.
        seed: of everything that is random.
        make_photo: takes a name, its format and a random source, and returns the bytes of an input and of its result;
            by default they are a few random bytes.
        changes: of the job.
    """
    random_source = random.Random(seed)
    shards = [[]]
    for number, name in enumerate(make_names(random_source, random_source.randrange(1, 7))):
        if random_source.random() < 0.3 and shards[-1]:
            shards.append([])
        shards[-1].append(add_export_row(folder, number, name, random_source, len(shards) - 1, make_photo=make_photo))
    return write_run(folder, shards, f"{seed:016x}", **changes), [row for shard in shards for row in shard]


def add_export_row(folder, number, name, random_source, shard=0, status=None, make_photo=None):
    """Write an input and perhaps a result of this name below a folder, and return their row."""
    status = status or random_source.choice(_STATUSES)
    image_format = _FORMATS[name[name.rindex(".") :].lower()]
    if make_photo is None:
        source, result = (random_source.randbytes(random_source.randrange(1, 200)) for _ in range(2))
    else:
        source, result = make_photo(name, image_format, random_source)
    result = source if status == "rejected" else result
    columns = {
        "file_name": name,
        "format": image_format,
        "input_uri": put(folder / "restored", name, source),
        "input_sha256": sha256_hex(source),
        "input_size": len(source),
    }
    if status not in CODES:
        columns |= {
            "output_uri": put(folder / "enhanced", name, result),
            "output_sha256": sha256_hex(result),
            "output_bytes": len(result),
        }
    elif random_source.random() < 0.5:
        columns["input_sha256"] = None
    return make_row(folder, number, status, shard, **columns)


def put(folder, name, data):
    """Write a file below a folder as storage does; returns its URI."""
    from pipeline.storage import escape_hashes, join_uri, write

    uri = join_uri(str(folder), escape_hashes(name))
    write(uri, data)
    return uri
