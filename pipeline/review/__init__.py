"""Reviews of a run: a sample of its photos, the decisions about them, and how many more would be rejected."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
