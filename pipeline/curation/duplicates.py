"""Groups of photos that look the same: their perceptual hashes differ in at most a few bits."""

import numpy as np
import pyarrow as pa

from pipeline.curation.hamming_groups import group_by_distance
from pipeline.curation.options import MAX_HAMMING_DISTANCE
from pipeline.curation.query import open_manifest
from pipeline.curation.score_columns import check_scores
from pipeline.errors import ConfigError
from pipeline.runs import RunPaths

_HASH_BITS = 64
_COLUMNS = ("file_name", "input_uri", "output_uri", "phash", "width", "height", "input_size")
_PHOTOS_SQL = """
    CREATE TABLE hashed AS SELECT {columns}, ('0x' || phash)::UBIGINT AS hash FROM manifest
    WHERE phash IS NOT NULL AND file_name NOT IN (FROM missing)
""".format(columns=", ".join(_COLUMNS))
_GROUPS_SQL = """
    SELECT dense_rank() OVER (ORDER BY leader) AS group, position = 1 AS keep, * EXCLUDE (leader, position)
    FROM (
        SELECT row_number() OVER (PARTITION BY label ORDER BY {best}) AS position,
            first_value(file_name) OVER (PARTITION BY label ORDER BY {best}) AS leader,
            count(*) OVER (PARTITION BY label) AS photos, * EXCLUDE (label, id, hash)
        FROM hashed JOIN labels ON hashed.rowid = labels.id
    )
    ORDER BY leader, position
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
        ConfigError: `max_distance` is out of range, or the run has no hashes.
        RunError: the folder has no run.
    """
    if not 0 <= max_distance <= MAX_HAMMING_DISTANCE:
        raise ConfigError(
            f"a distance of {max_distance} bits is not possible: give one from 0 to {MAX_HAMMING_DISTANCE}, of the "
            f"{_HASH_BITS} bits of a hash"
        )
    check_scores(run, "phash")
    with open_manifest(run, columns=_COLUMNS) as connection:
        connection.execute(_PHOTOS_SQL)
        found = connection.sql("SELECT rowid, hash FROM hashed").fetchnumpy()
        labels = group_by_distance(found["hash"], max_distance).labels
        is_grouped = np.bincount(labels)[labels] > 1
        connection.register("labels", pa.table({"id": found["rowid"][is_grouped], "label": labels[is_grouped]}))
        groups: pa.Table = connection.sql(_GROUPS_SQL).to_arrow_table()
    return groups
