"""Convert an autoencoder to the form of `deepot/embedded`: config.json and quantised weights.

    python tools/embedded_autoencoder/quantize.py --start WORK/finetuned/autoencoder --out deepot/embedded

The encoder's weights get 8 bits, as many as bfloat16's mantissa; the decoder's get `--decoder-bits`.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file

from deepot.autoencoder import EMBEDDED_MODULES, MAX_BITS, quantize_weights
from tools.embedded_autoencoder.network import DECODER_BITS, load_network


def main(arguments: Sequence[str]) -> None:
    """Convert the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="a diffusers folder of AutoencoderDC")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--decoder-bits", type=int, choices=range(2, 9), default=DECODER_BITS, help="of its kernels (default: 6)"
    )
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(options.start / "config.json", options.out / "config.json")
    weights = load_network(options.start).state_dict()
    for module in EMBEDDED_MODULES:
        bits = options.decoder_bits if module == "decoder" else MAX_BITS
        module_weights = {name: weight for name, weight in weights.items() if name.startswith(f"{module}.")}
        save_file(quantize_weights(module_weights, bits), options.out / f"{module}.safetensors")


if __name__ == "__main__":
    main(sys.argv[1:])
