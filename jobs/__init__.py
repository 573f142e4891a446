"""The command line: one module per command, each of which parses its arguments and makes one call."""
