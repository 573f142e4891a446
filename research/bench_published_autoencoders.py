"""Published autoencoders at their real size through the whole transport: seconds, peak memory, effect of tiles.

    python research/bench_published_autoencoders.py sd-vae-ft-mse flux.1 --side 512 --tile 256 --threads 2 --json FILE

The configurations are the published ones and the weights are random: time and memory do not depend on their values,
but the effect of tiles says nothing about a trained autoencoder, and the result does not look like a photo. Each
autoencoder is saved as diffusers saves it and loaded from the folder by `load_autoencoder`. Its map takes the blurred
photo to the photo itself, and the blurred photo is transported: once in one piece, once in tiles.

The two transports run in processes of their own. Memory is the peak of the process above what it held with model, map
and photo loaded; on CUDA, of the device's memory. Loading is from files that were just written, without the import of
the libraries. Seconds per megapixel are of one pass, first encoding alone, then the whole transport (encode once,
decode twice); on CUDA after a warm-up. CPU seconds are those of all threads in the transport, which say more than the
clock on a busy machine. Differences are of 8-bit samples.
"""

import argparse
import json
import platform
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

from benchmarks._results import make_parser, peak_rss_mib
from deepot.autoencoder import LoadedAutoencoder, load_autoencoder
from deepot.inference import Enhancer, TileOptions, degrade_photo, encode_tiled, fit_images
from deepot.photo import Pixels
from deepot.restoration import load_degradation
from deepot.transport import TransportMap


@dataclass(frozen=True)
class Configuration:
    """The contents of a published autoencoder's `config.json`.

    Attributes:
        class_name: of diffusers.
        settings: its arguments.
    """

    class_name: str
    settings: dict[str, Any]

    def build(self) -> Any:  # noqa: ANN401  # diffusers is untyped
        """Return the autoencoder with random weights, the same every time."""
        import diffusers

        torch.manual_seed(0)
        model = getattr(diffusers, self.class_name)(**self.settings).eval()
        for parameter in model.parameters():
            if parameter.dim() > 1:  # with torch's own initialisation the input no longer shows after 30 layers
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


def make_photo(path: Path | None, side: int) -> Image.Image:
    """Return a square RGB photo: the centre of a file's, scikit-image's astronaut, or waves without scikit-image."""
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


def load_saved(folder: Path, options: argparse.Namespace) -> LoadedAutoencoder:
    """Load the autoencoder that `prepare` has saved."""
    torch.set_num_threads(options.threads)
    dtype = getattr(torch, options.dtype) if options.dtype else None
    return load_autoencoder(str(folder / "model"), device=options.device, dtype=dtype)


def prepare(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Save the model, the map and the photo to transport; return what they are."""
    model = CONFIGURATIONS[name].build()
    model.save_pretrained(folder / "model")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    autoencoder = load_saved(folder, options)
    natural = make_photo(options.photo, options.side)
    blur = load_degradation("blur:sigma=2")
    restored = degrade_photo(Pixels.from_image(natural), blur, np.random.default_rng(0))
    transport = fit_images(autoencoder, [restored.to_image()], [natural], patch_size=options.patch_size)
    transport.save(folder / "map.safetensors")
    np.save(folder / "restored.npy", restored.samples)
    return {
        "configuration": name,
        "parameters": parameters,
        "factor": autoencoder.factor,
        "channels": autoencoder.channels,
        "halo": autoencoder.halo,
        "device": str(autoencoder.device),
        "dtype": str(autoencoder.dtype),
    }


def transport(name: str, folder: Path, result: str, tiles: TileOptions, options: argparse.Namespace) -> dict[str, Any]:
    """Transport the saved photo, save it as `result`, and return the time and memory that took."""
    import diffusers

    getattr(diffusers, CONFIGURATIONS[name].class_name)  # diffusers imports a class at its first use
    started = time.perf_counter()
    autoencoder = load_saved(folder, options)
    load_seconds = time.perf_counter() - started
    enhancer = Enhancer(autoencoder, TransportMap.load(folder / "map.safetensors"), tiles=tiles)
    pixels = Pixels(np.load(folder / "restored.npy"))
    if autoencoder.device.type == "cuda":
        enhancer.enhance(Pixels(pixels.samples.copy()))
    loaded_bytes = reset_peak(autoencoder.device)
    plan = enhancer.tiles.plan(autoencoder, pixels)
    started = time.perf_counter()
    encode_tiled(autoencoder, pixels, plan)
    if autoencoder.device.type == "cuda":
        torch.cuda.synchronize(autoencoder.device)
    encoded, cpu_started = time.perf_counter(), time.process_time()
    stats = enhancer.enhance(pixels)
    finished, cpu_seconds = time.perf_counter(), time.process_time() - cpu_started
    np.save(folder / result, pixels.samples)
    megapixels = pixels.height * pixels.width / 1e6
    return {
        "tile": [(span[0].stop - span[0].start) * autoencoder.factor for span in (plan.rows, plan.columns)],
        "tiles": stats.n_tiles,
        "load_seconds": load_seconds,
        "encode_seconds_per_megapixel": (encoded - started) / megapixels,
        "transport_seconds_per_megapixel": (finished - encoded) / megapixels,
        "cpu_seconds_per_megapixel": cpu_seconds / megapixels,
        "peak_bytes_above_loaded": peak_bytes(autoencoder.device) - loaded_bytes,
    }


def reset_peak(device: torch.device) -> int:
    """Reset the record of peak memory where the system can, and return the bytes in use."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif (counters := Path("/proc/self/clear_refs")).exists():
        counters.write_text("5")
    return peak_bytes(device)


def peak_bytes(device: torch.device) -> int:
    """Return the peak of the memory so far: allocated on the CUDA device, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return int(peak_rss_mib() * 2**20)


def call_in_process(function: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    """Call a function in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures of one configuration."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        record = call_in_process(prepare, name, folder, options)
        for label, tiles in (
            ("whole", TileOptions(2 * options.side)),
            ("tiled", TileOptions(options.tile, options.overlap)),
        ):
            record[label] = call_in_process(transport, name, folder, f"{label}.npy", tiles, options)
        restored, whole, tiled = (
            np.load(folder / f"{label}.npy").astype(np.int16) for label in ("restored", "whole", "tiled")
        )
    record["mean_change"] = float(np.abs(whole - restored).mean())
    record["tiled_difference_max"] = int(np.abs(tiled - whole).max())
    record["tiled_difference_mean"] = float(np.abs(tiled - whole).mean())
    return record


def print_record(record: dict[str, Any]) -> None:
    """Print one configuration's figures."""
    parameters = f"{record['parameters'] / 1e6:.2f} M parameters"
    print(f"{record['configuration']}: {parameters}, factor {record['factor']}, {record['channels']} channels, "
          f"halo {record['halo']}, {record['dtype']} on {record['device']}")  # fmt: skip
    print("         tiles of           load  encode   transport         (CPU)  peak above loaded")
    for label in ("whole", "tiled"):
        row = record[label]
        tile = " × ".join(map(str, row["tile"]))
        print(
            f"  {label}  {row['tiles']:3} {tile:11}  {row['load_seconds']:4.1f} s"
            f"  {row['encode_seconds_per_megapixel']:6.2f}  {row['transport_seconds_per_megapixel']:6.2f} s/MP"
            f"  ({row['cpu_seconds_per_megapixel']:6.2f} s/MP)"
            f"  {row['peak_bytes_above_loaded'] / 1e6:8.0f} MB"
        )
    print(
        f"  tiled − whole: at most {record['tiled_difference_max']}, mean {record['tiled_difference_mean']:.3f};"
        f" whole − photo: mean {record['mean_change']:.3f} (of 255)",
        flush=True,
    )


def main() -> None:
    """Measure the configurations one after the other."""
    parser = make_parser(__doc__)
    known = ", ".join(CONFIGURATIONS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"configurations: {known}; default: all")
    parser.add_argument("--photo", type=Path, help="a photo file; default: scikit-image's astronaut")
    parser.add_argument("--side", type=int, default=512, help="of the photo, in pixels")
    parser.add_argument("--tile", type=int, default=256, help="raised to the minimum for overlap and halo")
    parser.add_argument("--overlap", type=int, default=72, help="the maximum for tiles of 256 at factor 8")
    parser.add_argument("--patch-size", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"))
    options = parser.parse_args()
    if unknown := set(options.names) - set(CONFIGURATIONS):
        parser.error(f"unknown configuration {', '.join(sorted(unknown))}; known are {known}")
    content = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
    content |= {key: getattr(options, key) for key in ("side", "tile", "overlap", "patch_size", "threads")}
    records = []
    for name in options.names or CONFIGURATIONS:
        records.append(measure(name, options))
        print_record(records[-1])
        if options.json:
            options.json.write_text(json.dumps(content | {"configurations": records}, indent=2) + "\n")


if __name__ == "__main__":
    main()
