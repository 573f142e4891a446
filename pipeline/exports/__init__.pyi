from .archivematica import Derivative, export_archivematica
from .bag import export_bag
from .options import ExportOptions
from .summary import ExportSummary

__all__ = [
    "Derivative",
    "ExportOptions",
    "ExportSummary",
    "export_archivematica",
    "export_bag",
]
