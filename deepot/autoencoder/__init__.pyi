from .convolution_precision import disable_tf32
from .device import default_device, default_dtype, parse_device
from .diffusers_autoencoder import DiffusersAutoencoder
from .embedded_network import EMBEDDED_MODULES
from .loaded import LoadedAutoencoder, as_autoencoder, check_loaded
from .loading import load_autoencoder
from .protocol import Autoencoder
from .quantize import MAX_BITS, fake_quantize, quantize_weights
from .shared_stats import TensorFn

__all__ = [
    "EMBEDDED_MODULES",
    "MAX_BITS",
    "Autoencoder",
    "DiffusersAutoencoder",
    "LoadedAutoencoder",
    "TensorFn",
    "as_autoencoder",
    "check_loaded",
    "default_device",
    "default_dtype",
    "disable_tf32",
    "fake_quantize",
    "load_autoencoder",
    "parse_device",
    "quantize_weights",
]
