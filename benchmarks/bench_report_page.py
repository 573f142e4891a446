"""A report of many photos: its size, and how soon after opening it in headless Chromium its first photo can be used.

    python benchmarks/bench_report_page.py --pairs 200 --json bench-output/bench_report_page.json

The photos are synthetic, of 640 × 480 pixels, with about as much detail as real ones. Milliseconds from the start of
the navigation until the page is first painted, parsed (DOMContentLoaded) and loaded, and until its first photo can be
used: in every frame a script moves the curtain slider of the first photo, until both versions are there and the
curtain has followed. The least and the median of the repetitions. Needs `chromium` on the path.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from benchmarks._results import make_parser, save_results
from benchmarks._synthetic_photos import make_photo
from benchmarks._synthetic_runs import IMAGES_PER_SHARD, write_run_files
from pipeline.reporting import write_report
from pipeline.runs import commit, extend_plan, new_row, read_plan, write_manifest_file
from pipeline.storage import Entry
from tests.support.chromium import find_chromium, run_chromium

_WIDTH, _HEIGHT = 640, 480
_QUALITY = 95  # of the JPEGs of the run; the page has its own
_USE = """
(() => {
  const step = () => {
    const figure = document.querySelector("#photo-1.ready");
    const slider = figure?.querySelector("[data-action=curtain]");
    const images = [...(figure?.querySelectorAll(".layer img") ?? [])];
    if (slider && images.length === 2 && images.every((image) => image.complete && image.naturalWidth)) {
      slider.value = 20;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      if (figure.querySelector(".stage").style.getPropertyValue("--curtain") === "20") {
        // the second frame begins when the first, with the moved curtain, has been painted
        requestAnimationFrame(() => requestAnimationFrame(() => { window.firstUse = performance.now(); }));
        return;
      }
    }
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})();
"""
_TIMES = """(() => {
  const [navigation] = performance.getEntriesByType("navigation");
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return { painted: paint?.startTime ?? 0, parsed: navigation.domContentLoadedEventEnd, loaded: navigation.loadEventEnd,
           usable: window.firstUse };
})()"""


def save_pair(path: Path, generator: np.random.Generator) -> tuple[str, str]:
    """Write a photo and a slightly sharper version of it as JPEG, and return their paths."""
    before = make_photo(generator, _WIDTH, _HEIGHT)
    after = before + 0.5 * (before - np.roll(before, 1, axis=1))
    paths = []
    for side, levels in (("before", before), ("after", after)):
        paths.append(f"{path}-{side}.jpg")
        Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=_QUALITY)
    return paths[0], paths[1]


def make_report(folder: Path, pairs: int) -> Path:
    """Write a run of this many photos and its report with all of them, and return the path of the page."""
    run, generator = write_run_files(str(folder)), np.random.default_rng(0)
    photos = [save_pair(folder / f"{number:04d}", generator) for number in range(pairs)]
    entries = [Entry(before, Path(before).name, 1, "", 0.0) for before, _ in photos]
    results = dict(photos)
    extend_plan(run, iter(entries), IMAGES_PER_SHARD)
    scores = {"alpha": 0.5, "transport_mse": 0.1, "patch_nll": 1.0, "patch_nll_output": 1.1}
    for shard in read_plan(run):
        done = [{"status": "ok", "output_uri": results[entry.uri]} | scores for entry in shard.entries]
        rows = [new_row(entry, shard.number, 1) | found for entry, found in zip(shard.entries, done, strict=True)]
        commit(run, shard.number, [write_manifest_file(run, f"{shard.number:05d}.parquet", rows)])
    return Path(write_report(run, pairs))


def measure(browser: Any, page: Path) -> dict[str, float]:  # noqa: ANN401 (tests are not typed)
    """Open the page and return the milliseconds until each of its states."""
    browser.open(page)
    browser.wait_for("window.firstUse")
    found: dict[str, float] = browser.evaluate(_TIMES)
    return found


def main() -> None:
    """Write the page, open it over and over, and print its times."""
    parser = make_parser(__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if find_chromium() is None:
        print("skipped: no chromium on PATH")
        return
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        page = make_report(Path(folder), options.pairs)
        size_mb = page.stat().st_size / 1e6
        print(f"page     {options.pairs} pairs, {size_mb:.1f} MB, written in {time.perf_counter() - started:.1f} s")
        with run_chromium(Path(folder, "chromium")) as browser:
            browser.call("Page.addScriptToEvaluateOnNewDocument", source=_USE)
            measure(browser, page)  # fills the cache
            times = [measure(browser, page) for _ in range(options.repeats)]
    for name in times[0]:
        found = [each[name] for each in times]
        print(f"{name:8} {min(found):7.0f} ms at least, {median(found):7.0f} in the median")
    save_results(options.json, options, {"size_mb": size_mb, "milliseconds": times})


if __name__ == "__main__":
    main()
