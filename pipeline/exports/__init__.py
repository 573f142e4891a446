"""Photos of a run in the layouts of other systems: as a bag, a transfer of Archivematica, or IIIF manifests."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
