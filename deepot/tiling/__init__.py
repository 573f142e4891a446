"""Windows, halos and stitching of tiles, and the retry in smaller tiles when memory is short."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
