"""Spandrel where torch is built for CPUs only and the torchvision of the package index is not.

`make install` puts both into a folder beside the environment's packages, because diffusers fails over such a
torchvision. Here the names of the operators that its library would bring are registered before it is imported.
"""

import importlib.util
import re
import sys
import warnings
from functools import lru_cache
from pathlib import Path

import torch

SPANDREL_FOLDER = Path(sys.prefix) / "spandrel"
_OPERATOR_NAME = re.compile(r"register_(?:fake|meta)\(\"(?:torchvision::)?(\w+)\"")


@lru_cache(maxsize=1)
def can_import_spandrel():
    """Whether spandrel can be imported, now that everything has been done for it."""
    if importlib.util.find_spec("spandrel") is None:
        if not (SPANDREL_FOLDER / "spandrel").is_dir():
            return False
        sys.path.append(str(SPANDREL_FOLDER))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision warns of its missing library
        try:
            import torchvision  # noqa: F401
        except RuntimeError:
            _register_torchvision_operators()
        import spandrel  # noqa: F401
    if str(SPANDREL_FOLDER) in sys.path:
        sys.path.remove(str(SPANDREL_FOLDER))  # Ray hands the path on to its workers
    return True


def _register_torchvision_operators():
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    source = Path(importlib.util.find_spec("torchvision").origin).with_name("_meta_registrations.py")
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in sorted(set(_OPERATOR_NAME.findall(source.read_text(encoding="utf-8")))):
        library.define(f"{name}(Tensor images) -> Tensor")
    globals()["_library"] = library  # its registrations end with it
