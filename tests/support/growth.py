"""How the work of a function grows with its input, counted in steps of the interpreter instead of seconds."""

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
_TRACED = tuple(f"{ROOT}/{package}/" for package in ("deepot", "pipeline", "jobs"))


def count_steps(function: Callable[[], object], *, opcodes: bool = False) -> int:
    """Return how many lines of deepot's own code, or instructions of its bytecode, a call executes in this thread."""
    steps = 0

    def trace(frame, event, _argument):
        nonlocal steps
        if not frame.f_code.co_filename.startswith(_TRACED):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = opcodes, not opcodes
        steps += event == ("opcode" if opcodes else "line")
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(previous)
    return steps


def assert_linear(function: Callable[[bytes], object], make_input: Callable[[int], bytes], size: int) -> None:
    """Check that an input of twice the size takes at most about twice the steps, twice in a row."""
    counts = [count_steps(lambda n=n: function(make_input(n))) for n in (size, 2 * size, 4 * size)]
    for smaller, larger in pairwise(counts):
        assert larger <= 2.2 * smaller + 100, f"{counts} steps for inputs of 1, 2 and 4 times the size"
