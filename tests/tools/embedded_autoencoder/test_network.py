"""The student network as a diffusers folder."""

import torch
from diffusers import AutoencoderDC

from tools.embedded_autoencoder.network import load_network, make_network


def test_load_network_has_the_same_weights_and_does_not_name_the_folder(tmp_path):
    torch.manual_seed(0)
    network = make_network(16, (16, 16, 16, 16), (1, 1, 2, 2), (1, 1, 2, 2))
    network.half().save_pretrained(tmp_path / "first")
    load_network(tmp_path / "first").half().save_pretrained(tmp_path / "second")
    first, second = (
        AutoencoderDC.from_pretrained(tmp_path / name, low_cpu_mem_usage=False) for name in ("first", "second")
    )
    assert first.encode(torch.zeros(1, 3, 32, 48).to(first.dtype)).latent.shape == (1, 16, 4, 6)
    states = [model.state_dict() for model in (first, second)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert str(tmp_path) not in (tmp_path / "second" / "config.json").read_text()
