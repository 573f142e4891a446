import pytest
import torch

from deepot.autoencoder.device import default_device, default_dtype, disable_tf32


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


@pytest.mark.parametrize("previous", ["tf32", "ieee"])
def test_disable_tf32_restores_the_setting_even_after_an_error(previous):
    setting = torch.backends.cudnn.conv
    default = setting.fp32_precision
    setting.fp32_precision = previous
    try:
        with pytest.raises(KeyError), disable_tf32():
            assert setting.fp32_precision == "ieee"
            raise KeyError
        assert setting.fp32_precision == previous
    finally:
        setting.fp32_precision = default
