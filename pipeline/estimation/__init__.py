"""Estimates of the time, cost and storage of a job from a pilot run on a sample of its photos."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
