from .degradations import Degradation, DegradationSteps, load_degradation, rng_for
from .loading import load_restorer
from .restorer import Restorer

__all__ = [
    "Degradation",
    "DegradationSteps",
    "Restorer",
    "load_degradation",
    "load_restorer",
    "rng_for",
]
