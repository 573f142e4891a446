"""The embedded autoencoder computed by OpenVINO, as graphs that are built from the weights of PyTorch.

`--autoencoder benchmarks.openvino_autoencoder:autoencoder:precision=bf16,shapes=static --compute.dtype float32`
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deepot.autoencoder.embedded_network import EmbeddedAutoencoder, load_network
from deepot.autoencoder.residual_blocks import ResBlock

PRECISIONS = ("f32", "bf16")
SHAPES = ("static", "dynamic")
_MAX_COMPILED = 8  # pairs of sizes that stay in memory; each holds its weights and the memory of its activations
_MAX_CELLS = 2**20  # latent positions along an axis; dynamic shapes need a limit

_Array = npt.NDArray[np.float32]
_Node = Any  # an output of OpenVINO's graph


class OpenVinoAutoencoder:
    """The embedded autoencoder in OpenVINO, one graph for each size of a photo or one for all.

    The names of this class and of its attributes are part of the fingerprint.

    Args:
        network: the network, in float32.
        precision: f32 or bf16.
        shapes: static compiles the graphs for every size, dynamic once.

    Raises:
        ImportError: the package `openvino` is not installed.
        ValueError: there is no such precision, or no such kind of shapes.
    """

    def __init__(self, network: EmbeddedAutoencoder, precision: str, shapes: str) -> None:
        import openvino

        for name, value, known in (("precision", precision, PRECISIONS), ("shapes", shapes, SHAPES)):
            if value not in known:
                raise ValueError(f"{name} is '{value}': give one of {', '.join(known)}")
        self.factor, self.channels, self.halo = network.factor, network.channels, network.halo
        self.precision, self.shapes = precision, shapes
        self._openvino: Any = openvino
        self._core = openvino.Core()
        self._graphs = build_graphs(network)
        self._request: Callable[[str, tuple[int, ...]], Any] = lru_cache(2 * _MAX_COMPILED)(self._compile)

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (1, 3, H, W) in [0, 1] to latents (1, c, h, w)."""
        return self._compute("encoder", images)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (1, c, h, w) to images (1, 3, H, W), roughly in [0, 1]."""
        return self._compute("decoder", latents)

    def _compute(self, name: str, values: Tensor) -> Tensor:
        request = self._request(name, tuple(values.shape) if self.shapes == "static" else ())
        request.infer({0: values.float().contiguous().numpy()}, share_inputs=True)
        return torch.from_numpy(request.get_output_tensor().data.copy())

    def _compile(self, name: str, shape: tuple[int, ...]) -> Any:  # noqa: ANN401  # openvino.InferRequest
        """Compile a graph for a shape, or with () for all, with as many threads as PyTorch has here."""
        graph = self._graphs[name].clone()
        per_cell = self.factor if name == "encoder" else 1
        side = self._openvino.Dimension(per_cell, _MAX_CELLS * per_cell)
        channels = 3 if name == "encoder" else self.channels
        graph.reshape(self._openvino.PartialShape(list(shape) or [1, channels, side, side]))
        settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        return self._core.compile_model(graph, "CPU", settings).create_infer_request()


def autoencoder(precision: str = "f32", shapes: str = "static") -> OpenVinoAutoencoder:
    """Return the autoencoder of `autoencoder: benchmarks.openvino_autoencoder:autoencoder`."""
    return OpenVinoAutoencoder(load_embedded_network(), precision, shapes)


def load_embedded_network() -> EmbeddedAutoencoder:
    """Load the embedded autoencoder's network in float32."""
    with as_file(files("deepot.embedded")) as folder:
        return load_network(folder)


def build_graphs(network: EmbeddedAutoencoder) -> dict[str, Any]:
    """Return the graphs of the encoder and the decoder by name, openvino.Model, for images of any size.

    Nothing is traced or converted, so that building takes hundredths of a second where `openvino.convert_model` takes
    seconds. Channels that are repeated or averaged beside a convolution are added to the centre of its kernel.
    """
    from openvino import Model

    build = _Layers({name: tensor.detach().float().numpy() for name, tensor in network.state_dict().items()})
    images, latents = build.input(3), build.input(network.channels)
    return {
        "encoder": Model([_encode(build, network, images)], [images], "encoder"),
        "decoder": Model([_decode(build, network, latents)], [latents], "decoder"),
    }


def _encode(build: "_Layers", network: EmbeddedAutoencoder, images: _Node) -> _Node:
    values = build.ops.subtract(build.ops.multiply(images, build.constant(2.0)), build.constant(1.0))
    values = build.unshuffle(build.convolution(values, "encoder.conv_in.conv"))
    for name, layer in _iter_layers(network.encoder.down_blocks, "encoder.down_blocks"):
        if isinstance(layer, ResBlock):
            values = build.block(values, name)
        else:
            shortcut = build.average(build.unshuffle(values), layer.average.channels)
            values = build.ops.add(build.unshuffle(build.convolution(values, f"{name}.conv")), shortcut)
    return build.convolution(values, "encoder.conv_out", has_shortcut=True)


def _decode(build: "_Layers", network: EmbeddedAutoencoder, latents: _Node) -> _Node:
    values = build.convolution(latents, "decoder.conv_in", has_shortcut=True)
    stages = list(_iter_layers(network.decoder.up_blocks, "decoder.up_blocks", reverse=True))
    for name, layer in stages:
        if isinstance(layer, ResBlock):
            values = build.block(values, name)
        else:
            values = build.shuffle(build.convolution(values, f"{name}.conv", has_shortcut=True))
    values = build.ops.relu(build.normalise(values, "decoder.norm_out"))
    images = build.shuffle(build.convolution(values, "decoder.conv_out.conv"))
    return build.ops.multiply(build.ops.add(images, build.constant(1.0)), build.constant(0.5))


def _iter_layers(stages: Iterable[nn.Module], name: str, *, reverse: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield the layers of stages with their names among the weights, those of the last stage first if reversed."""
    numbered = list(enumerate(stages))
    for number, stage in reversed(numbered) if reverse else numbered:
        for place, layer in enumerate(stage.children()):
            yield f"{name}.{number}.{place}", layer


@dataclass(frozen=True)
class _Layers:
    """Layers of the network as operations of OpenVINO."""

    weights: dict[str, _Array]
    ops: Any = field(default_factory=lambda: _operations())

    def input(self, channels: int) -> _Node:
        """Return an input (1, channels, any, any)."""
        return self.ops.parameter([1, channels, -1, -1], np.float32)

    def constant(self, values: float | _Array) -> _Node:
        """Return a number, or a value for each channel."""
        return self.ops.constant(np.asarray(values, np.float32).reshape(1, -1, 1, 1))

    def convolution(self, values: _Node, name: str, *, has_shortcut: bool = False) -> _Node:
        """Return a 3 × 3 convolution, with channels of its input, repeated or averaged, added if it has a shortcut."""
        kernel = self.weights[f"{name}.weight"]
        if has_shortcut:
            kernel = kernel.copy()
            kernel[:, :, 1, 1] += resampling_matrix(*kernel.shape[:2])
        output = self._convolve(values, kernel, padding=1)
        bias = self.weights.get(f"{name}.bias")
        return output if bias is None else self.ops.add(output, self.constant(bias))

    def average(self, values: _Node, channels: int) -> _Node:
        """Return averages of neighbouring channels."""
        n_channels = values.get_output_partial_shape(0)[1].get_length()
        return self._convolve(values, resampling_matrix(channels, n_channels)[:, :, None, None], padding=0)

    def normalise(self, values: _Node, name: str) -> _Node:
        """Divide the channels of each position by their root mean square."""
        mean_square = self.ops.reduce_mean(self.ops.multiply(values, values), np.array([1]), keep_dims=True)
        factor = self.ops.power(self.ops.add(mean_square, self.constant(1e-5)), self.constant(-0.5))
        scaled = self.ops.multiply(self.ops.multiply(values, factor), self.constant(self.weights[f"{name}.weight"]))
        return self.ops.add(scaled, self.constant(self.weights[f"{name}.bias"]))

    def block(self, values: _Node, name: str) -> _Node:
        """Return a residual block."""
        inner = self.convolution(self.ops.swish(self.convolution(values, f"{name}.conv1")), f"{name}.conv2")
        return self.ops.add(self.normalise(inner, f"{name}.norm"), values)

    def shuffle(self, values: _Node) -> _Node:
        """Return (1, 4C, h, w) as (1, C, 2h, 2w)."""
        return self.ops.depth_to_space(values, "depth_first", 2)

    def unshuffle(self, values: _Node) -> _Node:
        """Return (1, C, 2h, 2w) as (1, 4C, h, w)."""
        return self.ops.space_to_depth(values, "depth_first", 2)

    def _convolve(self, values: _Node, kernel: _Array, padding: int) -> _Node:
        around = [padding, padding]
        kernel_node = self.ops.constant(np.ascontiguousarray(kernel))
        return self.ops.convolution(values, kernel_node, [1, 1], around, around, [1, 1])


def _operations() -> Any:  # noqa: ANN401  # a module
    from openvino import opset13

    return opset13


def resampling_matrix(n_outputs: int, n_inputs: int) -> _Array:
    """Return (n_outputs, n_inputs), which repeats channels, or averages neighbouring ones."""
    if n_outputs >= n_inputs:
        return np.repeat(np.eye(n_inputs, dtype=np.float32), n_outputs // n_inputs, axis=0)
    count = n_inputs // n_outputs
    return np.repeat(np.eye(n_outputs, dtype=np.float32), count, axis=1) / np.float32(count)
