"""What was done to each photo of a run: as preservation events for repositories, and as signed credentials."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
