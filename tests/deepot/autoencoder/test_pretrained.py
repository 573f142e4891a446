"""Autoencoders that diffusers has saved: odd and hostile folders are refused in one sentence, and nothing runs."""

import json
import pickle
import resource

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import load_file, save_file

from deepot.autoencoder.loading import load_autoencoder
from deepot.errors import AutoencoderError

WEIGHTS = "diffusion_pytorch_model.safetensors"
SETTINGS = {
    "block_out_channels": (32, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
}


@pytest.fixture
def folder(tmp_path):
    """The folder of a small AutoencoderKL."""
    torch.manual_seed(0)
    AutoencoderKL(**SETTINGS).save_pretrained(tmp_path / "vae")
    return tmp_path / "vae"


def change_config(folder, **settings):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))


def refusal_of(name):
    with pytest.raises(AutoencoderError) as caught:
        load_autoencoder(str(name))
    message = str(caught.value)
    assert message.startswith(f"autoencoder '{name}'")
    assert "\n" not in message
    assert len(message) < 700
    return message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "its config.json holds a list of 0 instead of an object"),
        ("[1, 2]", "its config.json holds a list of 2 instead of an object"),
        ("null", "its config.json holds null instead of an object"),
        ('"AutoencoderKL"', "its config.json holds 'AutoencoderKL' instead of an object"),
        ("7", "its config.json holds 7 instead of an object"),
        ("NaN", "its config.json holds nan instead of an object"),
        ("true", "its config.json holds True instead of an object"),
        ("", "not a valid JSON file"),
        ("{", "not a valid JSON file"),
        ("1" * 5000, "cannot be loaded"),
        ("[" * 100_000, "cannot be loaded"),
        ("{}", "is of class null; supported are"),
        ('{"_class_name": ["AutoencoderKL"]}', "is of class a list of 1; supported are"),
        ('{"_class_name": {"AutoencoderKL": 1}}', "is of class an object; supported are"),
        ('{"_class_name": 5}', "is of class 5; supported are"),
        ('{"_class_name": "ModelMixin"}', "is of class ModelMixin; supported are"),
    ],
)
def test_load_autoencoder_with_another_config_names_what_it_holds(folder, content, message):
    (folder / "config.json").write_text(content)
    assert message in refusal_of(folder)


@pytest.mark.timeout(60)  # what is built without a limit takes far longer
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers_per_block": 100_000}, "layers_per_block of its config.json is 100000; autoencoders of up to 1,000"),
        ({"layers_per_block": 10**12}, "layers_per_block of its config.json is 1000000000000; numbers up to 1,048,576"),
        ({"layers_per_block": float("inf")}, "layers_per_block of its config.json is inf; numbers up to"),
        ({"layers_per_block": float("nan")}, "layers_per_block of its config.json is nan; numbers up to"),
        (
            {"down_block_types": ["DownEncoderBlock2D"] * 100_000, "block_out_channels": [32] * 100_000},
            "is a list of 100,000; autoencoders of up to 32 stages are accepted",
        ),
        ({"block_out_channels": [2**20, 2**20]}, "parameters, more than its weights of"),
        ({"block_out_channels": [4096, 4096]}, "parameters, more than its weights of"),
        ({"latent_channels": 2**20}, "parameters, more than its weights of"),
        ({"latent_channels": 10**9}, "latent_channels of its config.json is 1000000000; numbers up to"),
        ({"block_out_channels": [[32] * 1000]}, "is a list of 1,000; autoencoders of up to 32 stages"),
        ({"block_out_channels": 32}, "no AutoencoderKL can be built from its config.json"),
        ({"block_out_channels": []}, "no AutoencoderKL can be built from its config.json"),
        ({"block_out_channels": ["32", "32"]}, "no AutoencoderKL can be built from its config.json"),
        ({"block_out_channels": None}, "no AutoencoderKL can be built from its config.json"),
        ({"down_block_types": ["os.system"]}, "no AutoencoderKL can be built from its config.json"),
        ({"act_fn": "no such"}, "no AutoencoderKL can be built from its config.json"),
        ({"norm_num_groups": 0}, "no AutoencoderKL can be built from its config.json"),
        ({"_use_default_values": 5}, "no AutoencoderKL can be built from its config.json"),
        ({"in_channels": 4}, "cannot be loaded"),
        ({"latent_channels": 8}, "cannot be loaded"),
        ({"scaling_factor": "x"}, "scaling_factor of its config.json is 'x'; it must be a finite number"),
        ({"scaling_factor": float("nan")}, "scaling_factor of its config.json is nan; it must be a finite number"),
        ({"scaling_factor": [1.0]}, "scaling_factor of its config.json is a list of 1; it must be a finite number"),
        ({"shift_factor": float("inf")}, "shift_factor of its config.json is inf; it must be a finite number"),
        ({"quantization_config": {"quant_method": "torchao"}}, "is quantized, which is not supported"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_load_autoencoder_with_odd_settings_names_them_before_it_allocates(folder, settings, message):
    change_config(folder, **settings)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert message in refusal_of(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kilobytes"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "settings",
    [
        {"num_encoder_blocks": [100_000], "encoder_block_out_channels": [64]},
        {"num_decoder_blocks": [1, 10**5, 1, 1]},
        {"num_encoder_blocks": [600, 600, 1, 1]},
    ],
)
def test_load_autoencoder_tiny_with_too_many_blocks_is_refused(tmp_path, settings):
    AutoencoderTiny().save_pretrained(tmp_path)
    change_config(tmp_path, **settings)
    assert "autoencoders of up to 1,000 blocks are accepted" in refusal_of(tmp_path)


def test_load_autoencoder_of_other_images_is_refused(tmp_path):
    AutoencoderKL(**SETTINGS, in_channels=4, out_channels=4).save_pretrained(tmp_path)
    assert "cannot encode and decode colour images" in refusal_of(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_load_autoencoder_with_weights_that_are_not_finite_is_refused(folder, value):
    weights = load_file(folder / WEIGHTS)
    weights["encoder.conv_in.weight"][0, 0, 0, 0] = value
    weights["encoder.conv_in.bias"][:] = value
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    assert "numbers that are not finite" in refusal_of(folder)


def split_weights(folder, *names):
    """Split the weights of a folder into two files and an index of these names."""
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    keys = sorted(weights)
    shards = dict(zip(names, (keys[:40], keys[40:]), strict=True))
    for name, part in shards.items():
        save_file({key: weights[key] for key in part}, folder / name, metadata={"format": "pt"})
    weight_map = {key: name for name, part in shards.items() for key in part}
    write_index(folder, {"metadata": {"total_size": 1}, "weight_map": weight_map})


def write_index(folder, content):
    (folder / f"{WEIGHTS}.index.json").write_text(content if isinstance(content, str) else json.dumps(content))


SHARDS = [f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]


def test_load_autoencoder_with_split_weights_reads_all_of_them(folder):
    whole = load_autoencoder(str(folder), dtype=torch.float32).sha256
    split_weights(folder, *SHARDS)
    assert load_autoencoder(str(folder), dtype=torch.float32).sha256 == whole


@pytest.mark.parametrize("content", ["[]", "null", "5", '"x"', "", "{}", '{"weight_map": []}', '{"weight_map": null}'])
def test_load_autoencoder_with_another_index_is_refused(folder, content):
    write_index(folder, content)
    assert f"{WEIGHTS}.index.json is not an index of weights" in refusal_of(folder)


@pytest.mark.parametrize(
    "name", ["weights.bin", "weights.pt", "weights.gguf", "../weights.safetensors", "/etc/passwd", 5]
)
def test_load_autoencoder_with_an_index_of_other_files_is_refused(folder, name):
    write_index(folder, {"metadata": {}, "weight_map": {"encoder.conv_in.bias": name}})
    assert "but weights must be safetensors in the same folder" in refusal_of(folder)


class Payload:
    """What writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
@pytest.mark.parametrize(
    "name", ["diffusion_pytorch_model.bin", WEIGHTS, SHARDS[0], "pytorch_model.bin", "model.bin", "diffusion_model.pt"]
)
def test_load_autoencoder_with_pickled_weights_runs_nothing(folder, tmp_path, name, save):
    (folder / WEIGHTS).unlink()
    save({"encoder.conv_in.bias": Payload(tmp_path / "written")}, folder / name)
    if name in SHARDS:
        write_index(folder, {"metadata": {}, "weight_map": {"encoder.conv_in.bias": name}})
    refusal_of(folder)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"auto_map": {"AutoModel": "custom.Evil", "AutoencoderKL": "custom.Evil"}},
        {"_class_name": ["custom", "Evil"]},
        {"_class_name": "custom.Evil", "auto_map": {"AutoModel": "custom.Evil"}},
        {"_auto_class": "custom.Evil", "trust_remote_code": True},
        {"trust_remote_code": True, "custom_pipeline": "custom", "_name_or_path": "."},
    ],
)
def test_load_autoencoder_with_code_in_its_folder_does_not_import_it(folder, tmp_path, monkeypatch, settings):
    for name in ("custom.py", "modeling_custom.py", "pipeline.py", "__init__.py", "hubconf.py"):
        (folder / name).write_text(f"open({str(tmp_path / 'written')!r}, 'w')\nclass Evil: pass\n")
    change_config(folder, **settings)
    try:
        load_autoencoder(str(folder))
    except AutoencoderError:
        assert "_class_name" in settings
    assert not (tmp_path / "written").exists()


def test_load_autoencoder_of_a_subfolder_takes_no_weights_of_the_folder_above(folder):
    torch.manual_seed(1)
    AutoencoderKL(**SETTINGS).save_pretrained(folder / "other")
    names = [f"{folder}", f"{folder}#other", f"{folder}/other"]
    first, second, third = (load_autoencoder(name, dtype=torch.float32).sha256 for name in names)
    assert first != second == third
    assert "there is no such folder" in refusal_of(f"{folder}#nothing")


def test_load_autoencoder_of_the_hub_fetches_its_config_and_safetensors_only(folder, tmp_path, monkeypatch):
    from huggingface_hub import constants

    (tmp_path / "hub/models--org--vae/refs").mkdir(parents=True)
    (tmp_path / "hub/models--org--vae/refs/main").write_text("0" * 40)
    snapshot = tmp_path / "hub/models--org--vae/snapshots" / ("0" * 40)
    snapshot.parent.mkdir()
    folder.rename(snapshot)
    AutoencoderTiny().save_pretrained(snapshot / "tiny")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    whole = load_autoencoder("org/vae", dtype=torch.float32)
    assert (whole.name, whole.channels) == ("org/vae", 4)
    assert load_autoencoder("org/vae#tiny", dtype=torch.float32).factor == 8
    split_weights(snapshot, *SHARDS)
    assert load_autoencoder("org/vae", dtype=torch.float32).sha256 == whole.sha256
    write_index(snapshot, {"metadata": {}, "weight_map": {"encoder.conv_in.bias": "weights.bin"}})
    torch.save({"encoder.conv_in.bias": Payload(tmp_path / "written")}, snapshot / "weights.bin")
    assert "but weights must be safetensors" in refusal_of("org/vae")
    change_config(snapshot, layers_per_block=100_000)
    (snapshot / f"{WEIGHTS}.index.json").unlink()
    save_file({"x": torch.ones(1)}, snapshot / WEIGHTS)
    assert "autoencoders of up to 1,000 blocks" in refusal_of("org/vae")
    assert "the Hugging Face hub cannot be reached from this machine" in refusal_of("org/other")
    assert "did you mean 'embedded'?" in refusal_of("embeded")
    assert not (tmp_path / "written").exists()
