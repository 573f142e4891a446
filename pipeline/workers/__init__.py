"""The work of one process, without Ray."""
