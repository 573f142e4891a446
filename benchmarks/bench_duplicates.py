"""Grouping a million perceptual hashes by their distance, as `deepot duplicates` does: CPU seconds and memory.

    python benchmarks/bench_duplicates.py --json bench-output/bench_duplicates.json

Random hashes with planted near duplicates, and sets that are hard: of equal hashes, of hashes that agree in a band of
bits, of dense ones. Each is grouped in a process of its own, whose memory includes the imports.
"""

import time
from collections.abc import Callable
from itertools import product

import numpy as np
import numpy.typing as npt

from benchmarks._results import make_parser, peak_rss_mib, save_results
from benchmarks.bench_status_commands import call_in_child
from pipeline.curation import group_by_distance

Hashes = npt.NDArray[np.uint64]
_PLANTED_BITS = 3


def random_hashes(rng: np.random.Generator, count: int) -> Hashes:
    """Return random hashes."""
    return rng.integers(0, 2**64, count, dtype=np.uint64)


def flip_bits(rng: np.random.Generator, hashes: Hashes, bits: int) -> Hashes:
    """Return hashes with this many random bits changed, or two fewer where the same bit comes twice."""
    for _ in range(bits):
        hashes = hashes ^ (np.uint64(1) << rng.integers(0, 64, len(hashes), dtype=np.uint64))
    return hashes


def planted(rng: np.random.Generator, count: int) -> Hashes:
    """Return random hashes, of which every tenth is a near duplicate of another one."""
    hashes = random_hashes(rng, count - count // 10)
    return np.concatenate([hashes, flip_bits(rng, rng.choice(hashes, count // 10), _PLANTED_BITS)])


def one_bucket(rng: np.random.Generator, count: int) -> Hashes:
    """Return hashes that agree in 12 bits."""
    return random_hashes(rng, count) & ~np.uint64(0xFFF)


def mostly_one_bucket(rng: np.random.Generator, count: int) -> Hashes:
    """Return hashes of which nine in ten agree in 13 bits."""
    return np.where(rng.random(count) < 0.9, random_hashes(rng, count) & ~np.uint64(0x1FFF), random_hashes(rng, count))


def clusters(rng: np.random.Generator, count: int) -> Hashes:
    """Return hashes within 8 bits of one of a hundred."""
    return flip_bits(rng, rng.choice(random_hashes(rng, 100), count), 8)


def skewed_bits(rng: np.random.Generator, count: int) -> Hashes:
    """Return hashes whose last three bytes are random, and one bit of each other byte."""
    return random_hashes(rng, count) & np.uint64(0x0101010101FFFFFF)


SETS: dict[str, Callable[[np.random.Generator, int], Hashes]] = {
    "random": random_hashes,
    "planted": planted,
    "one bucket": one_bucket,
    "mostly one bucket": mostly_one_bucket,
    "clusters": clusters,
    "skewed bits": skewed_bits,
    "within 8 bits of zero": lambda rng, count: flip_bits(rng, np.zeros(count, np.uint64), 8),
    "consecutive": lambda _, count: np.arange(count, dtype=np.uint64),
    "equal": lambda rng, count: np.full(count, random_hashes(rng, 1)[0]),
    "zero": lambda _, count: np.zeros(count, np.uint64),
}


def measure(name: str, count: int, max_distance: int) -> dict[str, float]:
    """Group a set of hashes; returns CPU seconds, the peak of memory, groups and comparisons per hash."""
    hashes = SETS[name](np.random.default_rng(0), count)
    started = time.process_time()
    found = group_by_distance(hashes, max_distance)
    seconds = time.process_time() - started
    return {
        "cpu_seconds": seconds,
        "peak_mib": peak_rss_mib(),
        "groups": float(found.labels.max() + 1),
        "comparisons_per_hash": found.n_comparisons / count,
    }


def main() -> None:
    """Group every set with every distance."""
    parser = make_parser(__doc__)
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, nargs="*", default=[4], help="largest distances")
    parser.add_argument("--sets", choices=list(SETS), nargs="*", default=list(SETS))
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    for name, bits in product(options.sets, options.bits):
        found = call_in_child(lambda name=name, bits=bits: measure(name, options.hashes, bits))  # type: ignore[misc]
        results[f"{name}, {bits} bits"] = found
        print(f"{name:22} {bits:2} bits {found['cpu_seconds']:6.1f} CPU-s, {found['peak_mib']:4.0f} MiB, "
              f"{found['groups']:9,.0f} groups, {found['comparisons_per_hash']:7,.1f} comparisons per hash",
              flush=True)  # fmt: skip
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
