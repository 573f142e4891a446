"""What tone curves do for photos that they were not fitted from: those of pairs, and those of a self-calibration.

    python research/eval_tone_curves.py --clean PHOTOS/kodak --natural PHOTOS/natural --allow-code

Curves are fitted to the centre squares of 16 of the natural photos: of the pairs x*, x, and of the pairs x**, x*, with
x** the photo that is degraded and restored once more. They are tested on every other photo of --clean. For each
history: the share of the curve that is applied and the fall of the squared error of photos that were left out of the
fit, with its standard error; and over the test photos the mean PSNR of x* without and with the curve, and the smallest
difference.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.eval_against_published import HISTORIES, History
from deepot.evaluation import psnr
from deepot.inference import tone_sums
from deepot.photo import Pixels
from deepot.transport import ToneCurve, fit_tone

_PHOTOS = 16


def describe(name: str, curve: ToneCurve, photos: Sequence[tuple[Pixels, Pixels]]) -> str:
    """Return a cell of the table for a curve: photos are pairs of x* and x of one size."""
    before = [psnr(restored.to_rgb(), clean.to_rgb()) for restored, clean in photos]
    after = [psnr(curve.apply(restored.to_rgb()), clean.to_rgb()) for restored, clean in photos]
    worst = min(new - old for new, old in zip(after, before, strict=True))
    return (
        f"{name}: share {curve.share:.2f}, error −{curve.error_reduction:.1%} (se {curve.standard_error or 0:.1%}), "
        f"{statistics.mean(before):.2f} → {statistics.mean(after):.2f} dB, worst {worst:+.2f}"
    )


@torch.inference_mode()
def main() -> None:
    """Print a line for each history."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=Path, required=True, help="folder of test photos")
    parser.add_argument("--natural", type=Path, required=True, help="folder of natural photos")
    parser.add_argument("--history", nargs=2, action="append", metavar=("DEGRADATION", "RESTORER"))
    parser.add_argument("--crop", type=int, default=192, help="side of the centre squares (default: 192)")
    parser.add_argument("--allow-code", action="store_true", required=True, help="restorers may be module:factory")
    options = parser.parse_args()
    natural = sorted(options.natural.iterdir())
    chosen = natural[:: len(natural) // _PHOTOS][:_PHOTOS]
    tested = sorted(options.clean.iterdir())[1::2]
    for names in options.history or HISTORIES:
        history = History(*names)
        photos = [history.pair(path, options.crop, 1)[::-1] for path in tested]
        cells = []
        for name, rounds in (("paired", 1), ("self", 2)):
            pairs = [history.pair(path, options.crop, rounds) for path in chosen]
            cells.append(describe(name, fit_tone([tone_sums(after, before) for before, after in pairs]), photos))
        print(f"{history.name} | {' | '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
