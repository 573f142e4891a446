"""Make restored photos look real with Deep Optimal Transport (Adrai, Ohayon, Elad, Michaeli, NeurIPS 2023).

autoencoder = deepot.load_autoencoder("embedded")
transport = deepot.fit_images(autoencoder, restored_images, natural_images)
image = deepot.Enhancer(autoencoder, transport)(restored_image)
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

try:
    __version__ = version("deepot")
except PackageNotFoundError:  # imported from a source tree that is not installed
    __version__ = "0+unknown"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
