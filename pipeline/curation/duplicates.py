"""Groups of photos that look the same: their perceptual hashes differ in at most a few bits."""

from itertools import pairwise

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.curation.options import MAX_HAMMING_DISTANCE
from pipeline.curation.query import select_rows
from pipeline.errors import ConfigError
from pipeline.runs import RunPaths

_HASH_BITS = 64
_COLUMNS = ("file_name", "input_uri", "output_uri", "phash", "width", "height", "input_size")
_PAIRS_SQL = """
    SELECT DISTINCT a.id AS first, b.id AS second
    FROM bands a JOIN bands b ON a.band = b.band AND a.bits = b.bits AND a.id < b.id
    WHERE bit_count(xor(a.hash, b.hash)) <= ?
"""
_GROUPS_SQL = """
    SELECT dense_rank() OVER (ORDER BY leader) AS group, position = 1 AS keep, * EXCLUDE (leader, position)
    FROM (
        SELECT row_number() OVER (PARTITION BY label ORDER BY {best}) AS position,
            first_value(file_name) OVER (PARTITION BY label ORDER BY {best}) AS leader,
            count(*) OVER (PARTITION BY label) AS photos, * EXCLUDE label
        FROM photos
    )
    WHERE photos > 1 ORDER BY leader, position
""".format(best="width::BIGINT * height DESC, input_size DESC, file_name")


def find_duplicates(run: RunPaths, max_distance: int) -> pa.Table:
    """Find groups of photos that look the same, without photos that are missing from the input.

    Two photos are in one group if their hashes differ in at most `max_distance` bits, or if a chain of such photos
    joins them. If two hashes differ in at most k bits, they agree in at least one of k + 1 bands, so only hashes that
    agree in a band are compared.

    Args:
        run: the run.
        max_distance: Hamming distance of two hashes of 64 bits, from 0 to `MAX_HAMMING_DISTANCE`.

    Returns:
        One row per photo, sorted by group with the largest photo first: group (from 1), keep (whether it is the first
        of its group), photos (number in the group), and the columns file_name, input_uri, output_uri, phash, width,
        height and input_size of the manifest.

    Raises:
        ConfigError: `max_distance` is out of range.
    """
    if not 0 <= max_distance <= MAX_HAMMING_DISTANCE:
        raise ConfigError(
            f"a distance of {max_distance} bits is not possible: give one from 0 to {MAX_HAMMING_DISTANCE}, of the "
            f"{_HASH_BITS} bits of a hash"
        )
    rows = select_rows(run, "phash IS NOT NULL AND file_name NOT IN (FROM missing)").select(_COLUMNS)
    hashes = pc.unique(rows["phash"])
    with duckdb.connect() as connection:
        connection.register("hashes", pa.table({"id": pa.array(range(len(hashes)), pa.int64()), "phash": hashes}))
        connection.execute(f"CREATE TABLE bands AS {_bands_sql(max_distance)}")
        pairs = connection.execute(_PAIRS_SQL, [max_distance]).fetchnumpy()
        first, second = pairs["first"], pairs["second"]
        _, labels = connected_components(
            coo_array((first * 0 + 1, (first, second)), shape=(len(hashes),) * 2), directed=False
        )
        label = pa.array(labels).take(pc.index_in(rows["phash"], hashes))
        connection.register("photos", rows.append_column("label", label))
        groups: pa.Table = connection.sql(_GROUPS_SQL).to_arrow_table()
    return groups


def _bands_sql(max_distance: int) -> str:
    """Return SQL that lists every hash once per band, for `max_distance` + 1 bands of its bits."""
    edges = [_HASH_BITS * band // (max_distance + 1) for band in range(max_distance + 2)]
    return " UNION ALL ".join(
        f"SELECT id, hash, {band} AS band, (hash >> {start}) & {(1 << (stop - start)) - 1}::UBIGINT AS bits "
        "FROM (SELECT id, ('0x' || phash)::UBIGINT AS hash FROM hashes)"
        for band, (start, stop) in enumerate(pairwise(edges))
    )
