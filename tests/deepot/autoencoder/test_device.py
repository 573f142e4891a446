import pytest
import torch

from deepot.autoencoder import load_autoencoder
from deepot.autoencoder.device import default_device, default_dtype, parse_device, parse_dtype
from deepot.errors import ArgumentError
from deepot.restoration import load_restorer


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_default_device_is_cuda_if_available(monkeypatch, available, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert default_device() == torch.device(expected)


@pytest.mark.parametrize(("amx", "avx512_bf16"), [(True, True), (False, True), (False, False)])
def test_default_dtype_on_a_cpu_follows_its_instructions(monkeypatch, amx, avx512_bf16):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    assert default_dtype(torch.device("cpu")) == (torch.bfloat16 if amx or avx512_bf16 else torch.float32)


@pytest.mark.parametrize(("supported", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_default_dtype_on_cuda_is_bfloat16_only_in_hardware(monkeypatch, supported, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported or including_emulation)
    assert default_dtype(torch.device("cuda")) == expected


@pytest.mark.parametrize("given", ["cpu", torch.device("cpu")])
def test_parse_device_takes_text_and_devices(given):
    assert parse_device(given) == torch.device("cpu")


@pytest.mark.parametrize("load", [load_autoencoder, load_restorer])
@pytest.mark.parametrize(
    ("device", "n_devices", "message"),
    [
        ("cuda", 0, "CUDA is not available on this machine: device is 'cuda', give 'cpu' or leave it out"),
        (torch.device("cuda"), 0, "CUDA is not available on this machine"),
        ("cuda:2", 2, "device is 'cuda:2', but the last CUDA device of this machine is cuda:1"),
        ("cdua", 0, "device is 'cdua': give cpu, cuda, .*; did you mean 'cuda'"),
        (1.5, 0, "device is 1.5: give cpu, cuda"),
    ],
)
def test_device_that_does_not_exist_is_refused(monkeypatch, load, device, n_devices, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_devices > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_devices)
    with pytest.raises(ArgumentError, match=message):
        load(device=device)


@pytest.mark.parametrize(("text", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_parse_dtype_takes_text_and_dtypes(text, dtype):
    assert parse_dtype(text, torch.device("cpu")) == parse_dtype(dtype, torch.device("cpu")) == dtype


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ("float13", "dtype is 'float13': give float32, bfloat16 or float16; did you mean 'float"),
        (torch.int8, r"dtype is torch\.int8: give float32, bfloat16 or float16$"),
        (32, "dtype is 32: give float32"),
    ],
)
def test_load_autoencoder_refuses_another_dtype(dtype, message):
    with pytest.raises(ArgumentError, match=message):
        load_autoencoder(device="cpu", dtype=dtype)
