"""Autoencoders: loading, placing on a device, receptive field and statistics shared by tiles."""

from deepot.autoencoder.autoencoder import Autoencoder, LoadedAutoencoder, as_autoencoder, default_device, default_dtype
from deepot.autoencoder.loading import EMBEDDED_MODULES, DiffusersAutoencoder, load_autoencoder
from deepot.autoencoder.precision import disable_tf32
from deepot.autoencoder.quantize import MAX_BITS, fake_quantize, quantize_weights
from deepot.autoencoder.shared_stats import TensorFn

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
