from .device import default_device, default_dtype, disable_tf32
from .diffusers_autoencoder import DiffusersAutoencoder
from .embedded_network import EMBEDDED_MODULES
from .loaded import LoadedAutoencoder, as_autoencoder
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
    "default_device",
    "default_dtype",
    "disable_tf32",
    "fake_quantize",
    "load_autoencoder",
    "quantize_weights",
]
