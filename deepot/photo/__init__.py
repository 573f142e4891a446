"""Photos as samples: their RGB view, ICC profiles, transparency, quality scores and colour differences."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
