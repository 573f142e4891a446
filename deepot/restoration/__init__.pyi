from .degradations import Degradation, load_degradation, rng_for
from .loading import load_restorer
from .restorer import Restorer

__all__ = [
    "Degradation",
    "Restorer",
    "load_degradation",
    "load_restorer",
    "rng_for",
]
