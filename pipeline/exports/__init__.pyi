from .archivematica import Derivative, export_archivematica
from .bag import export_bag
from .iiif import export_iiif
from .iiif_presentation import IiifOptions
from .options import ExportOptions
from .summary import ExportSummary

__all__ = [
    "Derivative",
    "ExportOptions",
    "ExportSummary",
    "IiifOptions",
    "export_archivematica",
    "export_bag",
    "export_iiif",
]
