"""The command line: one module per command, each of which parses its arguments and makes one call."""

from deepot_launcher import exit_if_shadowed

exit_if_shadowed()  # here, for `python -m jobs.cli`: the modules of this package import the other packages
