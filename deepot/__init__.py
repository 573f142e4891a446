"""deepot: make restored photos look real with Deep Optimal Transport (Adrai, Ohayon, Elad, Michaeli, NeurIPS 2023).

codec = deepot.load_autoencoder("embedded")
transport = deepot.fit_images(codec, restored_images, natural_images)
image = deepot.Enhancer(codec, transport)(restored_image)
"""

from importlib.metadata import PackageNotFoundError, version

from deepot.autoencoder.autoencoder import Autoencoder, LoadedAutoencoder, as_autoencoder
from deepot.autoencoder.loading import load_autoencoder
from deepot.errors import DeepotError
from deepot.inference.calibration import fit_images, paired_moments, photo_binned_moments, photo_moments
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.inference.tile_options import TileOptions
from deepot.photo.pixels import Pixels
from deepot.restoration.degradations import load_degradation
from deepot.restoration.loading import load_restorer
from deepot.transport.binned_moments import BinnedMoments
from deepot.transport.gaussian import Gaussian, transport_matrix, wasserstein2_squared
from deepot.transport.mixture_fit import fit_mixture_map
from deepot.transport.mixture_operator import MixtureTransport
from deepot.transport.moments import Moments, merge_in_order
from deepot.transport.patch_operator import PatchTransport
from deepot.transport.transport_map import CalibrationKind, TransportMap, fit_map

try:
    __version__ = version("deepot")
except PackageNotFoundError:  # imported from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = [
    "Autoencoder",
    "BinnedMoments",
    "CalibrationKind",
    "DeepotError",
    "Enhancer",
    "Gaussian",
    "LoadedAutoencoder",
    "MixtureTransport",
    "Moments",
    "PatchTransport",
    "Pixels",
    "TileOptions",
    "TransportMap",
    "TransportMode",
    "as_autoencoder",
    "fit_images",
    "fit_map",
    "fit_mixture_map",
    "load_autoencoder",
    "load_degradation",
    "load_restorer",
    "merge_in_order",
    "paired_moments",
    "photo_binned_moments",
    "photo_moments",
    "transport_matrix",
    "wasserstein2_squared",
]
