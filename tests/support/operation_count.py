"""The operations of Python's interpreter that code of this project takes, which do not depend on the machine."""

import sys
from pathlib import Path

PACKAGES = tuple(f"{Path(__file__).resolve().parents[2] / name}/" for name in ("deepot", "pipeline"))


def count_operations(call):
    """Call a function; returns how many bytecode instructions of `deepot` and `pipeline` this thread ran in it."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if event == "call":
            if not frame.f_code.co_filename.startswith(PACKAGES):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(previous)
    return count
