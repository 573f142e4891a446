"""deepot: make restored photos look real with Deep Optimal Transport (Adrai, Ohayon, Elad, Michaeli, NeurIPS 2023).

codec = deepot.load_codec("embedded")
transport = deepot.fit_images(codec, restored_images, natural_images)
image = deepot.Enhancer(codec, transport)(restored_image)
"""

from importlib.metadata import PackageNotFoundError, version

from deepot.autoencoder.autoencoder import Autoencoder, Codec, as_codec
from deepot.autoencoder.loading import load_codec
from deepot.errors import DeepotError
from deepot.inference.calibration import fit_images, matched_moments, photo_levels, photo_moments
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import Mode
from deepot.inference.tile_options import Tiles
from deepot.photo.pixels import Pixels
from deepot.restoration.degradations import load_degradation
from deepot.restoration.loading import load_restorer
from deepot.transport.binned_moments import Levels
from deepot.transport.gaussian import Gaussian, transport_matrix, wasserstein2_squared
from deepot.transport.mixture_fit import fit_mixture
from deepot.transport.mixture_operator import MixtureTransport
from deepot.transport.moments import Moments, merge_in_order
from deepot.transport.patch_operator import PatchTransport
from deepot.transport.transport_map import Calibration, TransportMap, fit_map

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
