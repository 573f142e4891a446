from .record import RecordFormat, RecordSummary, write_record

__all__ = [
    "RecordFormat",
    "RecordSummary",
    "write_record",
]
