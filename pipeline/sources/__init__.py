"""Sources: where photos live besides folders: tar shards, ZIP files, Parquet columns and lists."""
