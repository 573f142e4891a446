"""What the commits of a run name, read one by one, without segments."""

from pipeline.runs.commits import list_committed_shards, read_commit


def iter_commits(run):
    """Yield the number of each committed shard with its manifest files."""
    return ((shard, read_commit(run, shard)) for shard in list_committed_shards(run))
