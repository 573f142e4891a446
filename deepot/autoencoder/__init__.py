"""How autoencoders are loaded and placed on a device, their receptive field, statistics shared by tiles."""

from deepot.autoencoder.device import default_device, default_dtype, disable_tf32
from deepot.autoencoder.diffusers_autoencoder import DiffusersAutoencoder
from deepot.autoencoder.embedded_network import EMBEDDED_MODULES
from deepot.autoencoder.loaded import LoadedAutoencoder, as_autoencoder
from deepot.autoencoder.loading import load_autoencoder
from deepot.autoencoder.protocol import Autoencoder
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
