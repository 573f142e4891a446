"""Which photos a URI names, in folders, tar shards, ZIP files, Parquet columns and lists, and reading one."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
