"""Loading an autoencoder that diffusers has saved, from a local folder or the Hugging Face hub."""

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepot.arguments import nearest_hint
from deepot.autoencoder.diffusers_autoencoder import DiffusersAutoencoder
from deepot.autoencoder.model_config import check_config, describe_json
from deepot.errors import AutoencoderError

_WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"
_INDEX_NAME = f"{_WEIGHTS_NAME}.index.json"
_HUB_TIMEOUT_S = 10.0
_CHECK_PIXELS = 64  # side of the image that is encoded and decoded to check the model


def load_pretrained(name: str) -> DiffusersAutoencoder:
    """Load an autoencoder that diffusers has saved.

    Its weights must be safetensors. Nothing in its folder is imported or unpickled, and its config.json is checked
    before a network is built from it.

    Args:
        name: a local folder or a name on the Hugging Face hub, followed by `#subfolder` if needed.

    Raises:
        AutoencoderError: it cannot be loaded, or is not an autoencoder of colour images.
    """
    location, _, subfolder = name.partition("#")
    root = Path(os.path.expanduser(location))  # Path's own raises for users without a home folder
    if not root.is_dir() and not location.startswith((".", "/", "~")):
        root = _download(name, location, subfolder)
    folder = root / subfolder  # given to diffusers as a folder of its own: of a subfolder it takes files of the root
    if not folder.is_dir():
        raise AutoencoderError(f"autoencoder '{name}': there is no such folder")
    config = check_config(_load_config(name, folder), name)
    _check_parameter_count(name, config, _count_weight_bytes(name, folder))
    return _wrap(name, _load_model(name, folder, config["_class_name"]))


def _download(name: str, repository: str, subfolder: str) -> Path:
    """Download the configuration and the safetensors of a model of the Hugging Face hub; return its root folder."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if "/" not in repository:
        raise AutoencoderError(
            f"autoencoder '{name}': there is no such folder, and names on the Hugging Face hub have an owner, as in "
            f"'owner/name'{nearest_hint(repository, ['embedded'])}"
        )
    is_offline = not _can_reach_hub()  # its client would try for half a minute, and print each attempt twice
    fetch = partial(hf_hub_download, repository, subfolder=subfolder or None, local_files_only=is_offline)
    try:
        config = Path(fetch("config.json"))
        try:
            names = _read_index(name, Path(fetch(_INDEX_NAME)))
        except EntryNotFoundError:
            names = {_WEIGHTS_NAME}
        for each in names:
            fetch(each)
    except AutoencoderError:
        raise
    except LocalEntryNotFoundError as error:
        raise AutoencoderError(
            f"autoencoder '{name}' is no local folder, and the Hugging Face hub cannot be reached from this machine: "
            "check the network and HF_ENDPOINT, or download the model elsewhere and name its folder"
        ) from error
    except Exception as error:  # the hub's client raises anything
        raise _not_loadable(name, error) from error
    return config.parents[len(Path(subfolder).parts)]


def _can_reach_hub() -> bool:
    """Whether the hub answers; otherwise only models that were downloaded before can be loaded."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().head(constants.ENDPOINT, timeout=_HUB_TIMEOUT_S)
    except Exception:  # the client raises what its HTTP library raises
        return False
    return True


def _load_config(name: str, folder: Path) -> object:
    import diffusers  # imported here because it takes seconds, and the embedded autoencoder does not need it

    try:
        return diffusers.AutoencoderKL.load_config(str(folder))
    except Exception as error:  # of files that are no JSON, or nested without end
        raise _not_loadable(name, error) from error


def _count_weight_bytes(name: str, folder: Path) -> int:
    """Return the size of the files of the weights: no fewer than the parameters in them."""
    index = folder / _INDEX_NAME
    names = _read_index(name, index) if index.is_file() else {_WEIGHTS_NAME}
    try:
        return sum((folder / each).stat().st_size for each in names)
    except OSError as error:
        raise _not_loadable(name, error) from error


def _read_index(name: str, index: Path) -> set[str]:
    """Return the names of the files that weights are split into.

    Raises:
        AutoencoderError: they are not safetensors in the same folder, or the file is no index.
    """
    try:
        names = {str(each) for each in json.loads(index.read_bytes())["weight_map"].values()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise AutoencoderError(
            f"autoencoder '{name}': {index.name} is not an index of weights; download or save it again"
        ) from error
    if other := sorted(each for each in names if Path(each).name != each or Path(each).suffix != ".safetensors"):
        raise AutoencoderError(
            f"autoencoder '{name}': {index.name} names {describe_json(other[0])}, but weights must be safetensors in "
            "the same folder; download or save it again"
        )
    return names


def _check_parameter_count(name: str, config: Mapping[str, Any], max_parameters: int) -> None:
    """Check that a network is no larger than its weights, before memory is allocated for it."""
    import diffusers

    try:
        with torch.device("meta"):
            model = getattr(diffusers, config["_class_name"]).from_config(dict(config))
    except Exception as error:  # of settings that do not fit together, diffusers raises anything
        raise AutoencoderError(
            f"autoencoder '{name}': no {config['_class_name']} can be built from its config.json "
            f"({type(error).__name__}: {_first_line(error)}); download or save it again"
        ) from error
    n_parameters = sum(each.numel() for each in model.parameters())
    if n_parameters > max_parameters:
        raise AutoencoderError(
            f"autoencoder '{name}': its config.json asks for {n_parameters:,} parameters, more than its weights of "
            f"{max_parameters:,} bytes can hold; download or save it again"
        )


@torch.random.fork_rng(devices=())  # creating a network draws initial weights from the global generator
def _load_model(name: str, folder: Path, class_name: str) -> nn.Module:
    import diffusers

    try:
        model, loading_info = getattr(diffusers, class_name).from_pretrained(
            str(folder),
            output_loading_info=True,
            torch_dtype=torch.float32,
            low_cpu_mem_usage=False,
            use_safetensors=True,
        )
    except Exception as error:
        raise _not_loadable(name, error) from error
    if loading_info["missing_keys"]:  # diffusers would initialise them at random
        missing_keys = sorted(loading_info["missing_keys"])
        raise AutoencoderError(
            f"autoencoder '{name}' lacks {len(missing_keys)} weights of a {class_name}, such as {missing_keys[0]}; "
            "download or save it again"
        )
    loaded: nn.Module = model.eval()
    return loaded


def _wrap(name: str, model: nn.Module) -> DiffusersAutoencoder:
    """Wrap a model, and check that it encodes and decodes a colour image to finite numbers."""
    try:
        autoencoder = DiffusersAutoencoder(model)
        with torch.inference_mode():
            latents = autoencoder.encode(torch.zeros(1, 3, _CHECK_PIXELS, _CHECK_PIXELS))
            is_finite = bool(latents.isfinite().all() and autoencoder.decode(latents).isfinite().all())
    except Exception as error:
        raise AutoencoderError(
            f"autoencoder '{name}' cannot encode and decode colour images ({type(error).__name__}: "
            f"{_first_line(error)}); use one of images with 3 channels"
        ) from error
    if not is_finite:
        raise AutoencoderError(
            f"autoencoder '{name}' turns a black image into numbers that are not finite: its weights are damaged; "
            "download or save it again"
        )
    return autoencoder


def _not_loadable(name: str, error: Exception) -> AutoencoderError:
    return AutoencoderError(
        f"autoencoder '{name}' cannot be loaded: it is neither 'embedded', nor a local folder saved by diffusers, "
        f"nor available from the Hugging Face hub ({_first_line(error)})"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
