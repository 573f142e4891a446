"""Groups of photos that look the same: their perceptual hashes differ in at most a few bits."""

import duckdb
import pyarrow as pa

from pipeline.curation.hamming_groups import group_by_distance
from pipeline.curation.options import MAX_HAMMING_DISTANCE
from pipeline.curation.query import select_rows
from pipeline.errors import ConfigError
from pipeline.runs import RunPaths

_HASH_BITS = 64
_COLUMNS = ("file_name", "input_uri", "output_uri", "phash", "width", "height", "input_size")
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
    joins them.

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
    rows = select_rows(run, "phash IS NOT NULL AND file_name NOT IN (FROM missing)", columns=_COLUMNS)
    with duckdb.connect() as connection:
        connection.register("photos", rows)
        hashes = connection.sql("SELECT ('0x' || phash)::UBIGINT AS hash FROM photos").fetchnumpy()["hash"]
        labels = pa.array(group_by_distance(hashes, max_distance).labels)
        connection.register("photos", rows.append_column("label", labels))
        groups: pa.Table = connection.sql(_GROUPS_SQL).to_arrow_table()
    return groups
