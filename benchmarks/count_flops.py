"""What a photo costs a GPU on paper: operations of the autoencoders, and the cores that read and write beside it.

    python benchmarks/count_flops.py --json bench-output/count_flops.json

Counts the operations of one encoding and two decodings (`torch.utils.flop_counter`, a multiplication with its addition
is two) of the embedded autoencoder and of an AutoencoderKL of Stable Diffusion's shape, on tensors without values.
JPEG files of a synthetic photo are decoded, encoded and decoded again in this process; the rates are those of CPU time.
"""

import io
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._results import make_parser, save_results
from benchmarks.gpu import load, make_pixels
from deepot.photo import Pixels

_SIDE = 1024  # attention grows with the square of the pixels: these are the operations of a megapixel


def count_operations(name: str, kl_size: str = "full") -> dict[str, float]:
    """Return the TFLOP of a megapixel (1024 × 1024 pixels): of encoding, of decoding, and of one and two of these."""
    network: Any = load(name, "cpu", "float32", kl_size).network
    network.to("meta")
    pixels = _SIDE**2
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        latents = network.encode(torch.empty(1, 3, _SIDE, _SIDE, device="meta"))
        encoding = counter.get_total_flops()
        network.decode(latents)
        decoding = counter.get_total_flops() - encoding
    return {
        "encode": encoding / pixels / 1e6,
        "decode": decoding / pixels / 1e6,
        "photo": (encoding + 2 * decoding) / pixels / 1e6,
    }


def measure_jpeg(megapixels: float, repeats: int) -> dict[str, float]:
    """Return how many megapixels a core decodes per second of CPU time, and encodes and decodes again."""
    photo, buffer = make_pixels(megapixels), io.BytesIO()
    size = photo.height * photo.width / 1e6
    image = photo.to_image()
    image.save(buffer, "JPEG", quality=92)

    def decode(data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as opened:
            Pixels.from_image(opened)

    def encode_and_check() -> None:
        with io.BytesIO() as file:
            image.save(file, "JPEG", quality=92)
            decode(file.getvalue())

    rates = {}
    steps: dict[str, Callable[[], None]] = {"read": lambda: decode(buffer.getvalue()), "write": encode_and_check}
    for name, step in steps.items():
        seconds = []
        for _ in range(repeats):
            start = time.process_time()
            step()
            seconds.append(time.process_time() - start)
        rates[name] = size / min(seconds)
    return rates


def describe(name: str, operations: dict[str, float], jpeg: dict[str, float], tflops: float) -> dict[str, Any]:
    """Return the row of an autoencoder: its operations, and at a rate of TFLOP/s what the host has to keep up with."""
    megapixels_per_s = tflops / operations["photo"]
    return {
        "autoencoder": name,
        **{f"tflop_{key}": value for key, value in operations.items()},
        "ms_per_megapixel": 1000 / megapixels_per_s,
        "megapixels_per_s": megapixels_per_s,
        "cores_that_read": megapixels_per_s / jpeg["read"],
        "cores_that_write": megapixels_per_s / jpeg["write"],
    }


def main() -> None:
    """Count, measure and print."""
    parser = make_parser(__doc__)
    parser.add_argument("--tflops", type=float, default=300, help="TFLOP/s that a GPU reaches (default: 300)")
    parser.add_argument("--megapixels", type=float, default=12, help="of the JPEG files (default: 12)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kl-size", choices=["small", "full"], default="full")
    options: Namespace = parser.parse_args()
    jpeg = measure_jpeg(options.megapixels, options.repeats)
    rows = [
        describe(name, count_operations(name, options.kl_size), jpeg, options.tflops) for name in ("embedded", "kl")
    ]
    print(f"a core reads {jpeg['read']:.0f} megapixels/s, and writes and checks {jpeg['write']:.0f}")
    for row in rows:
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    save_results(options.json, options, {"jpeg": jpeg, "autoencoders": rows})


if __name__ == "__main__":
    main()
