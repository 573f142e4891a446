"""Reading the weights in a checkpoint file without running code that the file holds."""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import load_file

from deepot.errors import RestorerError

_ZIP_MAGIC, _PICKLE_MAGIC = b"PK\x03\x04", b"\x80"
_MAX_HEADER_BYTES = 100_000_000  # the limit of safetensors itself
_REFUSED_GLOBAL = re.compile(r"GLOBAL (\S+) was not an allowed global")
_WAY_OUT = "save its state_dict() as safetensors where you trust the file"


def read_state_dict(path: str) -> dict[str, Any]:
    """Read the content of a checkpoint: a state dict, or a dictionary with one in it.

    The content of a file decides how it is read, not its name: safetensors, or what `torch.save` writes. The latter is
    a pickle, which is read by PyTorch's unpickler for weights (`weights_only=True`): it makes tensors and plain
    containers, and no object or function of another name. TorchScript holds programs and is refused unread.

    Args:
        path: the checkpoint file.

    Returns:
        The dictionary in the file, on the CPU.

    Raises:
        RestorerError: it is another kind of file, is damaged, or holds anything but weights.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(9)
            if start.startswith(_ZIP_MAGIC):
                _check_archive(file, path)
            elif _is_safetensors(start):
                return _read_safetensors(path)
            elif not start.startswith(_PICKLE_MAGIC):
                raise not_loadable(path, "it is neither safetensors nor a file of torch.save")
            file.seek(0)
            return _read_pickle(file, path)
    except OSError as error:
        raise not_loadable(path, f"it cannot be read: {first_line(error)}") from error


def not_loadable(path: str, reason: str) -> RestorerError:
    """Return the error of a file whose weights cannot be used, with the reason."""
    return RestorerError(f"restorer 'spandrel:{path}' is not a checkpoint that spandrel can load: {reason}")


def first_line(error: Exception) -> str:
    """Return the beginning of an error's message, for a sentence about it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _check_archive(file: BinaryIO, path: str) -> None:
    """Check that a ZIP archive is laid out as `torch.save` does it: one pickle and the bytes of its tensors.

    Raises:
        RestorerError: it is TorchScript or another archive.
    """
    try:
        members = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise not_loadable(path, f"its archive is damaged: {error}") from error
    names = [member.filename.partition("/")[2] for member in members]
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        raise RestorerError(
            f"restorer 'spandrel:{path}' is TorchScript, a program that would run when it is loaded: {_WAY_OUT}"
        )
    if "data.pkl" not in names or any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise not_loadable(path, "it is an archive, but not one that torch.save wrote")


def _is_safetensors(start: bytes) -> bool:
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _MAX_HEADER_BYTES


def _read_safetensors(path: str) -> dict[str, Any]:
    try:
        return dict(load_file(path))
    except Exception as error:  # of its own type, and what torch raises over unknown dtypes
        raise not_loadable(path, f"its safetensors are damaged: {first_line(error)}") from error


def _read_pickle(file: BinaryIO, path: str) -> dict[str, Any]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # the message advises to run the code
        refused = _REFUSED_GLOBAL.search(str(error))
        what = f"{refused[1]}, which is no weight" if refused else "more than weights, or it is damaged"
        raise RestorerError(
            f"restorer 'spandrel:{path}' is not a checkpoint that spandrel can load: its pickle holds {what}; "
            f"reading that could run code: {_WAY_OUT}"
        ) from error
    except Exception as error:  # malformed pickles raise anything
        raise not_loadable(path, f"it is damaged: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise not_loadable(path, f"it holds a {type(content).__name__} instead of a state dict")
    return content
