"""Deep Optimal Transport over collections in object storage, on Ray, with a manifest of every result.

job = pipeline.load_job("scans.yaml", {"transport.alpha": 0.25})
summary = pipeline.run_job(job)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
