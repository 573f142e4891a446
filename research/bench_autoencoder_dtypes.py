"""Seconds a megapixel of codecs' encode and decode, by dtype, on this device, in turn.

python benchmarks/precision.py --vae embedded --vae taef2:codec --allow-code --json FILE
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from record import save

from deepot.autoencoder import LoadedAutoencoder, default_device, default_dtype, load_autoencoder

DTYPES = (torch.float32, torch.bfloat16)


def round_trip(codec: LoadedAutoencoder, image: torch.Tensor) -> float:
    """Seconds of one encode and decode."""
    started = time.perf_counter()
    codec.decode(codec.encode(image))
    if codec.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    """Time the round trip of one tile by each codec in each dtype, one after the other in every round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", action="append", help="as in a job file; several are timed in turn")
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    codecs = {
        (name, str(dtype).removeprefix("torch.")): load_autoencoder(name, dtype=dtype, allow_code=options.allow_code)
        for name in options.vae or ["embedded"]
        for dtype in DTYPES
    }
    image = torch.rand(1, 3, options.side, options.side, generator=torch.Generator().manual_seed(0))
    for codec in codecs.values():
        round_trip(codec, image)  # the first one takes longer
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in codecs}
    for _ in range(options.repeats):
        for key, codec in codecs.items():
            seconds[key].append(round_trip(codec, image) / (options.side**2 / 1e6))
    first = next(iter(codecs))[0]
    for (name, dtype), values in seconds.items():
        median = statistics.median(values)
        ratio = median / statistics.median(seconds[first, dtype])
        print(f"{name:16} {dtype:9} {median:7.2f} s a megapixel ({ratio:.2f} of {first}'s; {options.threads} threads)")
    chosen = str(default_dtype(default_device())).removeprefix("torch.")
    amx, avx512 = torch.cpu._is_amx_tile_supported(), torch.cpu._is_avx512_bf16_supported()
    print(f"chosen here: {chosen}; AMX: {amx}, AVX512_BF16: {avx512}")
    timed = [{"autoencoder": name, "dtype": dtype, "seconds": values} for (name, dtype), values in seconds.items()]
    save(options.json, options, {"chosen": chosen, "seconds_per_megapixel": timed})


if __name__ == "__main__":
    main()
