"""Seconds a megapixel of a codec's encode and decode, by dtype, on this device.

python benchmarks/precision.py --vae embedded --json FILE
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch

from deepot.autoencoders import load_codec
from deepot.codec import default_device, default_dtype


def main() -> None:
    """Time the round trip of one tile in each dtype, the dtypes in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", default="embedded")
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtypes = (torch.float32, torch.bfloat16)
    codecs = {dtype: load_codec(options.vae, dtype=dtype, allow_code=options.allow_code) for dtype in dtypes}
    image = torch.rand(1, 3, options.side, options.side, generator=torch.Generator().manual_seed(0))
    seconds: dict[str, list[float]] = {str(dtype): [] for dtype in dtypes}
    for repeat in range(options.repeats + 1):
        for dtype, codec in codecs.items():
            started = time.perf_counter()
            codec.decode(codec.encode(image))
            if codec.device.type == "cuda":
                torch.cuda.synchronize()
            if repeat:
                seconds[str(dtype)].append((time.perf_counter() - started) / (options.side**2 / 1e6))
    for name, values in seconds.items():
        print(f"{name:16} {statistics.median(values):7.2f} s a megapixel (round trip, {options.threads} thread)")
    chosen = default_dtype(default_device())
    print(f"chosen here: {chosen}; AMX: {torch.cpu._is_amx_tile_supported()}")
    if options.json:
        about = {"machine": platform.processor(), "torch": torch.__version__, "chosen": str(chosen)}
        options.json.write_text(
            json.dumps(about | {"vae": options.vae, "seconds_per_megapixel": seconds}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
