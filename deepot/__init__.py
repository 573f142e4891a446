"""deepot: make restored photos look real with Deep Optimal Transport (Adrai, Ohayon, Elad, Michaeli, NeurIPS 2023).

codec = deepot.load_codec("embedded")
transport = deepot.fit_images(codec, restored_images, natural_images)
image = deepot.Enhancer(codec, transport)(restored_image)
"""

from importlib.metadata import PackageNotFoundError, version

from deepot.autoencoders import load_codec
from deepot.calibrate import fit_images, matched_moments, photo_levels, photo_moments
from deepot.codec import Autoencoder, Codec, as_codec
from deepot.components import fit_mixture
from deepot.degrade import load_degradation
from deepot.enhance import Enhancer, Mode, Tiles
from deepot.errors import DeepotError
from deepot.gaussian import Gaussian, transport_matrix, wasserstein2_squared
from deepot.levels import Levels
from deepot.mixture import MixtureTransport
from deepot.moments import Moments, merge_in_order
from deepot.patches import PatchTransport
from deepot.pixels import Pixels
from deepot.restorers import load_restorer
from deepot.transport_map import Calibration, TransportMap, fit_map

try:
    __version__ = version("deepot")
except PackageNotFoundError:  # imported from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = [
    "Autoencoder",
    "Calibration",
    "Codec",
    "DeepotError",
    "Enhancer",
    "Gaussian",
    "Levels",
    "MixtureTransport",
    "Mode",
    "Moments",
    "PatchTransport",
    "Pixels",
    "Tiles",
    "TransportMap",
    "as_codec",
    "fit_images",
    "fit_map",
    "fit_mixture",
    "load_codec",
    "load_degradation",
    "load_restorer",
    "matched_moments",
    "merge_in_order",
    "photo_levels",
    "photo_moments",
    "transport_matrix",
    "wasserstein2_squared",
]
