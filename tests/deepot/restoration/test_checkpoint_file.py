"""Checkpoints that hold weights are read, and those that hold programs are refused without running them."""

import collections
import io
import pickle
import tarfile
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from deepot.errors import RestorerError
from deepot.restoration.checkpoint_file import read_state_dict
from deepot.restoration.loading import load_restorer
from tests.support.spandrel_import import can_import_spandrel

SUFFIXES = ["pth", "pt", "ckpt", "safetensors", "bin", "PT"]
WEIGHTS = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.ones(2, dtype=torch.float16)}

SAVERS = {
    "torch.save": torch.save,
    "torch.save before 1.6": lambda weights, path: torch.save(weights, path, _use_new_zipfile_serialization=False),
    "safetensors": save_file,
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", SAVERS)
def test_read_state_dict_of_weights_reads_them_whatever_the_suffix(tmp_path, kind, suffix):
    path = tmp_path / f"model.{suffix}"
    SAVERS[kind](WEIGHTS, path)
    found = read_state_dict(str(path))
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


class Overwriting(torch.nn.Module):
    """A program in TorchScript that writes into a file when it is loaded."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images

    @torch.jit.export
    def __getstate__(self) -> str:
        return self.path

    @torch.jit.export
    def __setstate__(self, path: str) -> None:
        self.path = path
        self.training = False
        content = torch.from_file(path, True, 6, dtype=torch.uint8)
        content.copy_(torch.full([6], 88, dtype=torch.uint8))
        self.path = path + str(int(content.sum()))  # used, so that it is not optimised away


class Saving(Overwriting):
    """A program in TorchScript that saves a file when it is loaded."""

    @torch.jit.export
    def __setstate__(self, path: str) -> None:
        self.path = path
        self.training = False
        torch.save(torch.zeros(3), path)


class Payload:
    """What writes into a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def save_script(program):
    def save(path, victim):
        torch.jit.script(program(victim)).save(path)

    return save


def save_deflated(path, victim):
    """Write what torch.save writes, but compressed, so that a small file may fill the memory."""
    with io.BytesIO() as file:
        torch.save(WEIGHTS, file)
        members = zipfile.ZipFile(file)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in members.infolist():
                archive.writestr(member.filename, members.read(member))


def save_tar(path, victim):
    """Write the oldest format of torch, whose pickles lie in a tar."""
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            content = pickle.dumps(Payload(victim), 2)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def save_package(path, victim):
    with torch.package.PackageExporter(path) as package:
        package.save_source_string("model", f"open({victim!r}, 'w')", dependencies=False)


def write(content):
    return lambda path, victim: path.write_bytes(content)


NOT_LOADABLE = "is not a checkpoint that spandrel can load: "
HOSTILE = {
    "TorchScript that overwrites a file": (save_script(Overwriting), "is TorchScript, a program that would run"),
    "TorchScript that saves a file": (save_script(Saving), "is TorchScript, a program that would run"),
    "a payload": (lambda path, victim: torch.save(Payload(victim), path), f"{NOT_LOADABLE}its pickle holds"),
    "a payload among weights": (
        lambda path, victim: torch.save({**WEIGHTS, "x": Payload(victim)}, path),
        r"its pickle holds \S+\.open, which is no weight; reading that could run code",
    ),
    "a payload before torch 1.6": (
        lambda path, victim: torch.save({"x": Payload(victim)}, path, _use_new_zipfile_serialization=False),
        "its pickle holds",
    ),
    "a bare pickle": (lambda path, victim: path.write_bytes(pickle.dumps(Payload(victim))), NOT_LOADABLE),
    "a bare pickle of protocol 2": (lambda path, victim: path.write_bytes(pickle.dumps(Payload(victim), 2)), "holds"),
    "a bare pickle of protocol 0": (lambda path, victim: path.write_bytes(pickle.dumps(Payload(victim), 0)), "neither"),
    "a whole module": (
        lambda path, victim: torch.save(torch.nn.Linear(1, 1), path),
        r"its pickle holds torch\.nn\.modules\.linear\.Linear, which is no weight",
    ),
    "a tar of torch before 0.2": (save_tar, "neither safetensors nor a file of torch.save"),
    "a package of torch": (save_package, NOT_LOADABLE),
    "compressed weights": (save_deflated, "an archive, but not one that torch.save wrote"),
    "a list": (lambda path, victim: torch.save([torch.ones(1)], path), "holds a list instead of a state dict"),
    "a tensor": (lambda path, victim: torch.save(torch.ones(1), path), "holds a Tensor instead of a state dict"),
    "nothing": (write(b""), "neither safetensors nor"),
    "text": (write(b"version https://git-lfs.github.com/spec/v1"), "neither safetensors nor"),
    "the start of an archive": (write(b"PK\x03\x04 and no more"), "its archive is damaged"),
    "the start of safetensors": (write(b"\x10\0\0\0\0\0\0\0{and no more"), "its safetensors are damaged"),
    "the start of a pickle": (write(b"\x80\x02"), NOT_LOADABLE),
}


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", HOSTILE)
def test_read_state_dict_of_anything_else_is_refused_and_writes_nothing(tmp_path, kind, suffix):
    victim, path = tmp_path / "victim.txt", tmp_path / f"model.{suffix}"
    victim.write_bytes(b"intact")
    save, message = HOSTILE[kind]
    save(path, str(victim))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RestorerError, match=message) as caught:
        read_state_dict(str(path))
    assert victim.read_bytes() == b"intact"
    assert sorted(tmp_path.iterdir()) == before
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    if can_import_spandrel():
        with pytest.raises(RestorerError, match=message):
            load_restorer(f"spandrel:{path}", allow_code=False)
        assert victim.read_bytes() == b"intact"


def test_read_state_dict_of_a_folder_or_an_unreadable_file_is_refused(tmp_path):
    with pytest.raises(RestorerError, match="cannot be read"):
        read_state_dict(str(tmp_path))


def test_load_restorer_of_a_wrapped_state_dict_finds_the_weights(tmp_path):
    if not can_import_spandrel():
        pytest.skip("spandrel is not installed; 'make install' puts it beside the environment")
    from spandrel.architectures.ESRGAN import ESRGAN

    weights = ESRGAN(in_nc=3, out_nc=3, num_filters=16, num_blocks=1, scale=2).state_dict()
    fingerprints = set()
    for name, content in {
        "plain.safetensors": dict(weights),
        "params.pth": {"params_ema": weights},
        "twice.ckpt": {"epoch": 3, "state_dict": collections.OrderedDict(params=weights)},
        "module.pt": {f"module.{key}": value for key, value in weights.items()},
    }.items():
        (save_file if name.endswith(".safetensors") else torch.save)(content, tmp_path / "model")
        restorer = load_restorer(f"spandrel:{tmp_path / 'model'}", device=torch.device("cpu"))
        fingerprints.add(restorer.sha256)
    assert len(fingerprints) == 1
