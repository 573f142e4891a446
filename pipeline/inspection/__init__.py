"""What the photos of an input are like, by a sample of them, and a job file that fits them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
