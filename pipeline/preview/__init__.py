"""What a job would make of a few photos at several α, on one page, before anything is run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
