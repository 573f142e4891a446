"""Segments of a few rows, so that small runs go through all that large ones go through."""

import uuid
from itertools import count
from types import SimpleNamespace

from pipeline.runs import committed_rows, compaction, segment_file, segments


def use_small_segments(patch):
    """Let readers and compactions of small runs use segments as those of large ones do; names follow from the order."""
    numbers = count()
    patch.setattr(segment_file, "uuid", SimpleNamespace(uuid4=lambda: uuid.UUID(int=next(numbers) << 80)))
    patch.setattr(committed_rows, "FEW_SHARDS", 0)
    patch.setattr(segments, "FEW_SHARDS", 0)
    patch.setattr(segment_file, "_ROWS_PER_GROUP", 3)
    patch.setattr(compaction, "ROWS_PER_SEGMENT", 5)
    patch.setattr(compaction, "_SMALL_SEGMENT_ROWS", 3)
