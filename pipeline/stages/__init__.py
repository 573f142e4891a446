"""The order of the stages, the shard scheduler and resuming."""
