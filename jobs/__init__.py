"""jobs: what a person runs; each module parses a command line and makes one call."""
