"""What the commits of a run name: read one by one, without segments, and as readers see it."""

from pipeline.runs import iter_committed_rows
from pipeline.runs.commits import list_committed_shards, read_commit


def iter_commits(run):
    """Yield the number of each committed shard with its manifest files."""
    return ((shard, read_commit(run, shard)) for shard in list_committed_shards(run))


def read_by_shard(run):
    """The committed rows by shard, as readers see them."""
    found = {}
    for rows in iter_committed_rows(run):
        for shard, _, table in rows.split(run):
            assert shard not in found, "no row comes twice"
            found[shard] = table.to_pylist()
    return found
