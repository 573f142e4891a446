"""Enhancer: a restored image in, the transported image out."""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from deepot.autoencoder.autoencoder import Codec
from deepot.inference.detail_filter import details
from deepot.inference.modes import Keep, Mode
from deepot.inference.tile_options import Tiles
from deepot.inference.tiled_autoencoder import check_finite, decoder, encode
from deepot.photo.pixels import LUMA, Pixels
from deepot.tiling.oom_retry import within_memory
from deepot.tiling.tiles import Block, Span, TilePlan
from deepot.transport.naturalness import Naturalness
from deepot.transport.transport_map import TransportMap

_COMPARED_VALUES = 4_000_000  # latent values compared at a time: 32 MB in float64


@dataclass(frozen=True)
class Outcome:
    """What transporting one image gave, besides its pixels.

    Attributes:
        transport_cost: mean (z′ − z)² per latent value.
        naturalness: Gaussian negative log-likelihood of its latent patches under the reference (see `Naturalness`).
        naturalness_output: the same of the transported latents z′.
        n_tiles: tiles a pass through the autoencoder.
        seconds: by phase: encode, transport, decode.
    """

    transport_cost: float
    naturalness: float
    naturalness_output: float
    n_tiles: int
    seconds: dict[str, float]


class Enhancer:
    """Transports restored images towards natural ones, tile by tile, at any size.

    α = 0 is the full transport, α = 1 returns the image bit for bit; values beyond extrapolate.
    """

    def __init__(
        self,
        codec: Codec,
        transport: TransportMap,
        *,
        alpha: float = 0.0,
        mode: Mode | str = Mode.DETAIL,
        keep: Collection[Keep | str] | str = (),
        tiles: Tiles | None = None,
    ) -> None:
        """Put codec and map together.

        Args:
            codec: the autoencoder the map was fitted with.
            transport: the map.
            alpha: α.
            mode: how the output is put together.
            keep: what is left out of the map, e.g. ("colour",).
            tiles: how large photos are cut; the defaults of `Tiles` if None.

        Raises:
            MapError: the map was fitted with another autoencoder.
            ValueError: no such mode, nothing of that name to keep.
        """
        transport.check(codec)
        self.codec, self.alpha, self.mode, self.tiles = codec, alpha, Mode(mode), tiles or Tiles()
        self.keep = frozenset(Keep(part) for part in ([keep] if isinstance(keep, str) else keep))
        self._transport = transport.on(codec.device, keep_mean=Keep.MEAN in self.keep)
        self._naturalness = Naturalness(transport.reference, transport.info.patch_size, device=codec.device)

    def __call__(self, image: Image.Image) -> Image.Image:
        """Transport a Pillow image of any size in a mode that `Pixels` knows; mode and bit depth are kept.

        Raises:
            UnsupportedImageError: a mode without an exact way back from RGB.
        """
        pixels = Pixels.from_image(image)
        self.enhance(pixels)
        return pixels.image()

    def enhance(self, pixels: Pixels) -> Outcome:
        """Transport the samples in place; where an accelerator's memory does not do, with tiles of half the side.

        Raises:
            CodecError: the autoencoder gave values that are not finite; the samples are partly changed then.
        """
        original = None if self.codec.device.type == "cpu" else pixels.samples.copy()

        def work(size: int) -> Outcome:
            if original is not None and size < self.tiles.size:
                pixels.samples[:] = original
            return self._enhance(pixels, replace(self.tiles, size=size).plan(self.codec, pixels))

        least = self.tiles.size if original is None else self.tiles.least(self.codec)
        outcome, size = within_memory(work, self.tiles.size, least)
        self.tiles = replace(self.tiles, size=size)
        return outcome

    @torch.inference_mode()
    def _enhance(self, pixels: Pixels, plan: TilePlan) -> Outcome:
        started = time.perf_counter()
        latents = encode(self.codec, pixels, plan)
        if self.codec.device.type == "cuda":
            torch.cuda.synchronize(self.codec.device)  # or the encoder's time would count as the transport's
        encoded = time.perf_counter()
        moved = self._transport(latents)
        cost = mean_square_difference(moved, latents)
        natural, natural_output = self._naturalness(latents), self._naturalness(moved)
        transported = time.perf_counter()
        if self.alpha != 1:
            for top, left, values in self._differences(pixels, latents, moved, plan):
                pixels.add(top, values, left)
        seconds = {
            "encode": encoded - started,
            "transport": transported - encoded,
            "decode": time.perf_counter() - transported,
        }
        return Outcome(cost, natural, natural_output, plan.count, seconds)

    def _differences(self, pixels: Pixels, latents: Tensor, moved: Tensor, plan: TilePlan) -> Iterator[Block]:
        """x̂ − x*, block by block; what lies beyond the photo is of no meaning."""
        share = 1 - self.alpha
        decode_moved, decode_latents = decoder(self.codec, moved, plan), None
        if self.mode is not Mode.PLAIN:
            decode_latents = decoder(self.codec, latents, plan)

        def tile(row: Span, column: Span) -> Tensor:
            window = (..., slice(row.start, row.stop), slice(column.start, column.stop))
            after = decode_moved(moved[window])
            if decode_latents is None:
                return after
            return change(after - decode_latents(latents[window]), self.mode, self.codec.factor)

        for block in plan.stitch(tile, self.codec.factor):
            values = block.values
            check_finite(self.codec, values)
            if self.mode is Mode.PLAIN:
                before = pixels.rgb(*block.place, values.device)
                values = values[:, :, : before.shape[2], : before.shape[3]] - before
            yield block._replace(values=(luma(values) if Keep.COLOUR in self.keep else values) * share)


def mean_square_difference(first: Tensor, second: Tensor) -> float:
    """Of tensors (1, C, h, w), summed in float64, some rows at a time."""
    rows = max(1, _COMPARED_VALUES // (first.shape[1] * first.shape[3]))
    squares = 0.0
    for top in range(0, first.shape[2], rows):
        band = (..., slice(top, top + rows), slice(None))
        squares += float((first[band] - second[band]).double().square().sum())
    return squares / first.numel()


def luma(difference: Tensor) -> Tensor:
    """The luma (ITU-R BT.601) of a difference of RGB images (B, 3, H, W), in all three channels."""
    weights = difference.new_tensor(LUMA).view(3, 1, 1)
    return (difference * weights).sum(1, keepdim=True).expand_as(difference)


def change(difference: Tensor, mode: Mode, factor: int) -> Tensor:
    """What of D(z′) − D(z) (B, 3, H, W) is added to x* at α = 0 in detail or residual mode."""
    return details(difference, factor) if mode is Mode.DETAIL else difference
