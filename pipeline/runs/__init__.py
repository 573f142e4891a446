"""The files of one run: plan, shards, commits, manifest, summary, lease and ownership."""
