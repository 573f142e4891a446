"""Seconds per megapixel of autoencoders' encode and decode in float32, bfloat16 or exact, on this device, in turns.

python research/bench_autoencoder_dtypes.py --autoencoder embedded --autoencoder taef2:codec --allow-code --json FILE
python research/bench_autoencoder_dtypes.py --dtype float32 exact --cpu-time
"""

import statistics
import time
from collections.abc import Callable

import torch

from benchmarks._results import make_parser, save_results
from deepot.autoencoder import LoadedAutoencoder, default_device, default_dtype, load_autoencoder

DTYPES = ("float32", "bfloat16")


def time_round_trip(
    autoencoder: LoadedAutoencoder, image: torch.Tensor, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the seconds of one encode and one decode."""
    started = clock()
    autoencoder.decode(autoencoder.encode(image))
    if autoencoder.device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def main() -> None:
    """Time one tile through each autoencoder in each dtype, in turns."""
    parser = make_parser(__doc__)
    parser.add_argument("--autoencoder", action="append", help="default: embedded; may be given more than once")
    parser.add_argument("--dtype", nargs="+", default=DTYPES)
    parser.add_argument("--cpu-time", action="store_true", help="of the process, on a machine with other work")
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--side", type=int, default=512, help="of the tile, in pixels")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    autoencoders = {
        (spec, dtype): load_autoencoder(spec, dtype=dtype, allow_code=options.allow_code)
        for spec in options.autoencoder or ["embedded"]
        for dtype in options.dtype
    }
    image = torch.rand(1, 3, options.side, options.side, generator=torch.Generator().manual_seed(0))
    for autoencoder in autoencoders.values():
        time_round_trip(autoencoder, image)  # the first call takes longer
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in autoencoders}
    clock = time.process_time if options.cpu_time else time.perf_counter
    for _ in range(options.repeats):
        for key, autoencoder in autoencoders.items():
            seconds[key].append(time_round_trip(autoencoder, image, clock) / (options.side**2 / 1e6))
    first = next(iter(autoencoders))[0]
    for (spec, dtype), values in seconds.items():
        median = statistics.median(values)
        ratio = median / statistics.median(seconds[first, dtype])
        print(f"{spec:16} {dtype:9} {median:7.2f} s/megapixel ({ratio:.2f} of {first}'s; {options.threads} threads)")
    chosen = str(default_dtype(default_device())).removeprefix("torch.")
    amx, avx512 = torch.cpu._is_amx_tile_supported(), torch.cpu._is_avx512_bf16_supported()
    print(f"deepot's default here: {chosen}; AMX: {amx}, AVX512_BF16: {avx512}")
    rows = [{"autoencoder": spec, "dtype": dtype, "seconds": values} for (spec, dtype), values in seconds.items()]
    save_results(options.json, options, {"default_dtype": chosen, "seconds_per_megapixel": rows})


if __name__ == "__main__":
    main()
