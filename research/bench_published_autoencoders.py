"""Published autoencoders at their real size through the whole transport: seconds, peak memory, what tiles change.

    python benchmarks/real_autoencoders.py sd-vae-ft-mse flux.1 --side 512 --tile 256 --threads 2 --json FILE

The configurations are the published ones, the weights are random: time and memory do not depend on their values, but
what tiles change says nothing about a trained autoencoder, nor does the result look like anything. Each autoencoder is
saved as diffusers saves it and loaded from the folder by `load_autoencoder`; its map takes the blurred photo to the photo
itself, and it is the blurred photo that is transported: once whole, once in tiles.

The whole and the tiled transport are processes of their own. Memory is the process's peak above what it held with
model, map and photo loaded, of the accelerator's memory on CUDA. Loading is from files that were just written, without
the import of the libraries. Seconds a megapixel are of one pass, encoding apart first, then the whole transport (which
encodes once and decodes twice); on CUDA after one that is not counted. Processor seconds are those of all threads
together in the transport: beside other work they say more than the clock. Differences are of 8-bit samples.
"""

import argparse
import json
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import Enhancer, TileOptions, degrade_photo, encode_tiled, fit_images
from deepot.photo import Pixels
from deepot.restoration import load_degradation
from deepot.transport import TransportMap


@dataclass(frozen=True)
class Configuration:
    """What a published autoencoder's `config.json` says.

    Attributes:
        kind: diffusers' class.
        settings: its arguments.
    """

    kind: str
    settings: dict[str, Any]

    def build(self) -> Any:  # noqa: ANN401  # diffusers is untyped
        """The autoencoder with random weights, the same every time."""
        import diffusers

        torch.manual_seed(0)
        model = getattr(diffusers, self.kind)(**self.settings).eval()
        for parameter in model.parameters():
            if parameter.dim() > 1:  # torch's own start is so small that 30 layers on the input no longer shows
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        return model


_KL = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "act_fn": "silu",
    "norm_num_groups": 32,
}
_DC_BLOCKS = ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3
_DC_WIDTHS = (128, 256, 512, 512, 1024, 1024)
_DC_SCALES = ((), (), (), (5,), (5,), (5,))

CONFIGURATIONS = {
    "sd-vae-ft-mse": Configuration(  # stabilityai/sd-vae-ft-mse
        "AutoencoderKL", {**_KL, "latent_channels": 4, "sample_size": 256, "scaling_factor": 0.18215}
    ),
    "flux.1": Configuration(  # black-forest-labs/FLUX.1-dev and FLUX.1-schnell, subfolder vae
        "AutoencoderKL",
        {
            **_KL,
            "latent_channels": 16,
            "sample_size": 1024,
            "scaling_factor": 0.3611,
            "shift_factor": 0.1159,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
            "mid_block_add_attention": True,
            "force_upcast": True,
        },
    ),
    "taesd": Configuration(  # madebyollin/taesd
        "AutoencoderTiny",
        {
            "encoder_block_out_channels": (64,) * 4,
            "decoder_block_out_channels": (64,) * 4,
            "num_encoder_blocks": (1, 3, 3, 3),
            "num_decoder_blocks": (3, 3, 3, 1),
            "latent_channels": 4,
            "scaling_factor": 1.0,
        },
    ),
    "dc-ae-f32c32": Configuration(  # mit-han-lab/dc-ae-f32c32-sana-1.0-diffusers
        "AutoencoderDC",
        {
            "latent_channels": 32,
            "attention_head_dim": 32,
            "encoder_block_types": _DC_BLOCKS,
            "decoder_block_types": _DC_BLOCKS,
            "encoder_block_out_channels": _DC_WIDTHS,
            "decoder_block_out_channels": _DC_WIDTHS,
            "encoder_layers_per_block": (2, 2, 2, 3, 3, 3),
            "decoder_layers_per_block": (3,) * 6,
            "encoder_qkv_multiscales": _DC_SCALES,
            "decoder_qkv_multiscales": _DC_SCALES,
            "upsample_block_type": "interpolate",
            "downsample_block_type": "Conv",
            "decoder_norm_types": "rms_norm",
            "decoder_act_fns": "silu",
            "scaling_factor": 0.41407,
        },
    ),
}


def photo(path: Path | None, side: int) -> Image.Image:
    """A square RGB photo: the middle of a file's, scikit-image's astronaut, or waves where that is not installed."""
    if path is not None:
        image = Image.open(path).convert("RGB")
    elif find_spec("skimage"):
        from skimage import data

        image = Image.fromarray(data.astronaut())
    else:
        y, x = np.mgrid[:side, :side][..., None]
        waves = np.sin(x / (5, 11, 23)) * np.cos(y / (7, 13, 19)) + np.sin((x * y) ** 0.5 / 3) / 2
        image = Image.fromarray((128 + 80 * waves).clip(0, 255).astype(np.uint8))
    return ImageOps.fit(image, (side, side))


def codec_in(folder: Path, options: argparse.Namespace) -> LoadedAutoencoder:
    """The autoencoder that `prepare_photo` has saved."""
    torch.set_num_threads(options.threads)
    dtype = getattr(torch, options.dtype) if options.dtype else None
    return load_autoencoder(str(folder / "model"), device=options.device, dtype=dtype)


def prepare(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Save the model, the map and the photo that is to be transported; what they are."""
    model = CONFIGURATIONS[name].build()
    model.save_pretrained(folder / "model")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    codec = codec_in(folder, options)
    natural = photo(options.photo, options.side)
    blur = load_degradation("blur:sigma=2")
    restored = degrade_photo(Pixels.from_image(natural), blur, np.random.default_rng(0))
    transport = fit_images(codec, [restored.to_image()], [natural], patch_size=options.patch_size)
    transport.save(folder / "map.safetensors")
    np.save(folder / "restored.npy", restored.samples)
    return {
        "configuration": name,
        "parameters": parameters,
        "factor": codec.factor,
        "channels": codec.channels,
        "halo": codec.halo,
        "device": str(codec.device),
        "dtype": str(codec.dtype),
    }


def transport(name: str, folder: Path, result: str, tiles: TileOptions, options: argparse.Namespace) -> dict[str, Any]:
    """Transport the saved photo and save it as `result`; what that took."""
    import diffusers

    getattr(diffusers, CONFIGURATIONS[name].kind)  # diffusers imports a class when it is named
    started = time.perf_counter()
    codec = codec_in(folder, options)
    loading = time.perf_counter() - started
    enhancer = Enhancer(codec, TransportMap.load(folder / "map.safetensors"), tiles=tiles)
    pixels = Pixels(np.load(folder / "restored.npy"))
    if codec.device.type == "cuda":
        enhancer.enhance(Pixels(pixels.samples.copy()))
    held = start_peak(codec.device)
    plan = enhancer.tiles.plan(codec, pixels)
    started = time.perf_counter()
    encode_tiled(codec, pixels, plan)
    if codec.device.type == "cuda":
        torch.cuda.synchronize(codec.device)
    encoded, busy = time.perf_counter(), time.process_time()
    outcome = enhancer.enhance(pixels)
    finished, busy = time.perf_counter(), time.process_time() - busy
    np.save(folder / result, pixels.samples)
    megapixels = pixels.height * pixels.width / 1e6
    return {
        "tile": [(span[0].stop - span[0].start) * codec.factor for span in (plan.rows, plan.columns)],
        "tiles": outcome.n_tiles,
        "load_seconds": loading,
        "encode_seconds_per_megapixel": (encoded - started) / megapixels,
        "transport_seconds_per_megapixel": (finished - encoded) / megapixels,
        "processor_seconds_per_megapixel": busy / megapixels,
        "peak_bytes_above_loaded": peak_bytes(codec.device) - held,
    }


def start_peak(device: torch.device) -> int:
    """Set the record of the largest memory back to what is held now, where the system can; bytes."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif (counters := Path("/proc/self/clear_refs")).exists():
        counters.write_text("5")
    return peak_bytes(device)


def peak_bytes(device: torch.device) -> int:
    """The most memory so far: allocated on the CUDA device, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def alone(function: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    """Call a function in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one configuration."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        record = alone(prepare, name, folder, options)
        for label, tiles in (
            ("whole", TileOptions(2 * options.side)),
            ("tiled", TileOptions(options.tile, options.overlap)),
        ):
            record[label] = alone(transport, name, folder, f"{label}.npy", tiles, options)
        restored, whole, tiled = (
            np.load(folder / f"{label}.npy").astype(np.int16) for label in ("restored", "whole", "tiled")
        )
    record["mean_change"] = float(np.abs(whole - restored).mean())
    record["tiled_difference_max"] = int(np.abs(tiled - whole).max())
    record["tiled_difference_mean"] = float(np.abs(tiled - whole).mean())
    return record


def show(record: dict[str, Any]) -> None:
    """Print one configuration's figures."""
    about = f"{record['parameters'] / 1e6:.2f} M parameters, factor {record['factor']}, {record['channels']} channels"
    print(f"{record['configuration']}: {about}, halo {record['halo']}, {record['dtype']} on {record['device']}")
    print("         tiles of   load  encode   transport   (processor)  peak above loaded")
    for label in ("whole", "tiled"):
        row = record[label]
        print(
            f"  {label}  {row['tiles']:3} {row['tile']:4}  {row['load_seconds']:4.1f} s"
            f"  {row['encode_seconds_per_megapixel']:6.2f}  {row['transport_seconds_per_megapixel']:6.2f} s/MP"
            f"  ({row['processor_seconds_per_megapixel']:6.2f} s/MP)"
            f"  {row['peak_bytes_above_loaded'] / 1e6:8.0f} MB"
        )
    print(
        f"  tiled − whole: at most {record['tiled_difference_max']}, mean {record['tiled_difference_mean']:.3f};"
        f" whole − photo: mean {record['mean_change']:.3f} (of 255)",
        flush=True,
    )


def main() -> None:
    """Measure the configurations one after the other and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CONFIGURATIONS)}; all unless named")
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--tile", type=int, default=256, help="raised to the least that overlap and halo allow")
    parser.add_argument("--overlap", type=int, default=72, help="the most for tiles of 256 at factor 8")
    parser.add_argument("--patch-size", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if unknown := set(options.names) - set(CONFIGURATIONS):
        parser.error(f"no configuration {', '.join(sorted(unknown))}; there are {', '.join(CONFIGURATIONS)}")
    about = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
    about |= {key: getattr(options, key) for key in ("side", "tile", "overlap", "patch_size", "threads")}
    records = []
    for name in options.names or CONFIGURATIONS:
        records.append(measure(name, options))
        show(records[-1])
        if options.json:
            options.json.write_text(json.dumps(about | {"configurations": records}, indent=2) + "\n")


if __name__ == "__main__":
    main()
