"""Freed memory that stays with a process; in processes of their own, as the setting is one of the process."""

import subprocess
import sys

import pytest

ROUNDS = 40
COUNT_FAULTS = f"""
import resource, sys
import numpy as np
from pipeline.workers.freed_memory import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no such thresholds")

def use_memory(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        arrays = [np.ones(2**18) for _ in range(4)]  # 2 MB each
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

use_memory(3)
print(use_memory({ROUNDS}))
"""


def test_process_that_keeps_freed_memory_gets_no_new_pages_for_arrays_like_those_before():
    faults = {}
    for choice in ("default", "keep"):
        done = subprocess.run([sys.executable, "-c", COUNT_FAULTS, choice], capture_output=True, text=True, check=False)
        if "no such thresholds" in done.stderr:
            pytest.skip("this C library has no thresholds for freed memory")
        faults[choice] = int(done.stdout)
    assert faults["keep"] < ROUNDS < faults["default"]
