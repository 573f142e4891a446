"""What happened to a photo, estimated from the photo alone: noise, JPEG compression, blur, enlargement."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
