from .credentials import CredentialsSummary, sign_results
from .record import RecordFormat, RecordSummary, write_record
from .signing_algorithms import SigningAlgorithm
from .signing_options import SigningOptions

__all__ = [
    "CredentialsSummary",
    "RecordFormat",
    "RecordSummary",
    "SigningAlgorithm",
    "SigningOptions",
    "sign_results",
    "write_record",
]
