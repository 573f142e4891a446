"""Enhancer: a restored image in, the transported image out."""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference.detail_filter import high_pass
from deepot.inference.modes import Preserve, TransportMode
from deepot.inference.tile_options import TileOptions
from deepot.inference.tiled_autoencoder import check_finite, encode_tiled, make_tile_decoder
from deepot.photo import LUMA_WEIGHTS, Pixels
from deepot.tiling import Span, StitchedBlock, TilePlan, retry_with_smaller_tiles
from deepot.transport import PatchNll, TransportMap

_CHUNK_VALUES = 4_000_000  # latent values compared at a time: 32 MB in float64


@dataclass(frozen=True)
class EnhanceStats:
    """What transporting one image gave, besides its pixels.

    Attributes:
        transport_mse: mean (z′ − z)² per latent value.
        patch_nll: Gaussian negative log-likelihood of its latent patches under the reference (see `PatchNll`).
        patch_nll_output: the same of the transported latents z′.
        n_tiles: tiles a pass through the autoencoder.
        seconds: by phase: encode, transport, decode.
    """

    transport_mse: float
    patch_nll: float
    patch_nll_output: float
    n_tiles: int
    seconds: dict[str, float]


class Enhancer:
    """Transports restored images towards natural ones, tile by tile, at any size.

    α = 0 is the full transport, α = 1 returns the image bit for bit; values beyond extrapolate.
    """

    def __init__(
        self,
        autoencoder: LoadedAutoencoder,
        transport_map: TransportMap,
        *,
        alpha: float = 0.0,
        mode: TransportMode | str = TransportMode.DETAIL,
        preserve: Collection[Preserve | str] | str = (),
        tiles: TileOptions | None = None,
    ) -> None:
        """Put codec and map together.

        Args:
            autoencoder: the autoencoder the map was fitted with.
            transport_map: the map.
            alpha: α.
            mode: how the output is put together.
            preserve: what is left out of the map, e.g. ("chroma",).
            tiles: how large photos are cut; the defaults of `TileOptions` if None.

        Raises:
            MapError: the map was fitted with another autoencoder.
            ValueError: no such mode, nothing of that name to keep.
        """
        transport_map.check_autoencoder(autoencoder)
        self.autoencoder, self.alpha, self.mode, self.tiles = (
            autoencoder,
            alpha,
            TransportMode(mode),
            tiles or TileOptions(),
        )
        self.preserve = frozenset(Preserve(part) for part in ([preserve] if isinstance(preserve, str) else preserve))
        self._operator = transport_map.operator_on(autoencoder.device, keep_mean=Preserve.MEAN in self.preserve)
        self._naturalness = PatchNll(transport_map.reference, transport_map.info.patch_size, device=autoencoder.device)

    def __call__(self, image: Image.Image) -> Image.Image:
        """Transport a Pillow image of any size in a mode that `Pixels` knows; mode and bit depth are kept.

        Raises:
            UnsupportedImageError: a mode without an exact way back from RGB.
        """
        pixels = Pixels.from_image(image)
        self.enhance(pixels)
        return pixels.to_image()

    def enhance(self, pixels: Pixels) -> EnhanceStats:
        """Transport the samples in place; where an accelerator's memory does not do, with tiles of half the side.

        Raises:
            AutoencoderError: the autoencoder gave values that are not finite; the samples are partly changed then.
        """
        original = None if self.autoencoder.device.type == "cpu" else pixels.samples.copy()

        def enhance_with_size(size: int) -> EnhanceStats:
            if original is not None and size < self.tiles.size:
                pixels.samples[:] = original
            return self._enhance(pixels, replace(self.tiles, size=size).plan(self.autoencoder, pixels))

        min_size = self.tiles.size if original is None else self.tiles.min_size(self.autoencoder)
        stats, size = retry_with_smaller_tiles(enhance_with_size, self.tiles.size, min_size)
        self.tiles = replace(self.tiles, size=size)
        return stats

    @torch.inference_mode()
    def _enhance(self, pixels: Pixels, plan: TilePlan) -> EnhanceStats:
        start = time.perf_counter()
        latents = encode_tiled(self.autoencoder, pixels, plan)
        if self.autoencoder.device.type == "cuda":
            torch.cuda.synchronize(self.autoencoder.device)  # or the encoder's time would count as the transport's
        encode_end = time.perf_counter()
        transported = self._operator(latents)
        transport_mse = mean_square_difference(transported, latents)
        naturalness, patch_nll_output = self._naturalness(latents), self._naturalness(transported)
        transport_end = time.perf_counter()
        if self.alpha != 1:
            for top, left, values in self._iter_differences(pixels, latents, transported, plan):
                pixels.add_rgb_delta(top, values, left)
        seconds = {
            "encode": encode_end - start,
            "transport": transport_end - encode_end,
            "decode": time.perf_counter() - transport_end,
        }
        return EnhanceStats(transport_mse, naturalness, patch_nll_output, plan.count, seconds)

    def _iter_differences(
        self, pixels: Pixels, latents: Tensor, transported: Tensor, plan: TilePlan
    ) -> Iterator[StitchedBlock]:
        """x̂ − x*, block by block; what lies beyond the photo is of no meaning."""
        strength = 1 - self.alpha
        decode_transported, decode_latents = make_tile_decoder(self.autoencoder, transported, plan), None
        if self.mode is not TransportMode.PLAIN:
            decode_latents = make_tile_decoder(self.autoencoder, latents, plan)

        def decode_tile(row: Span, column: Span) -> Tensor:
            window = (..., slice(row.start, row.stop), slice(column.start, column.stop))
            after = decode_transported(transported[window])
            if decode_latents is None:
                return after
            return filter_difference(after - decode_latents(latents[window]), self.mode, self.autoencoder.factor)

        for block in plan.stitch(decode_tile, self.autoencoder.factor):
            values = block.values
            check_finite(self.autoencoder, values)
            if self.mode is TransportMode.PLAIN:
                before = pixels.to_rgb(*block.region, values.device)
                values = values[:, :, : before.shape[2], : before.shape[3]] - before
            yield block._replace(
                values=(luma_difference(values) if Preserve.CHROMA in self.preserve else values) * strength
            )


def mean_square_difference(first: Tensor, second: Tensor) -> float:
    """Of tensors (1, C, h, w), summed in float64, some rows at a time."""
    rows = max(1, _CHUNK_VALUES // (first.shape[1] * first.shape[3]))
    squares = 0.0
    for top in range(0, first.shape[2], rows):
        band = (..., slice(top, top + rows), slice(None))
        squares += float((first[band] - second[band]).double().square().sum())
    return squares / first.numel()


def luma_difference(difference: Tensor) -> Tensor:
    """The luma (ITU-R BT.601) of a difference of RGB images (B, 3, H, W), in all three channels."""
    weights = difference.new_tensor(LUMA_WEIGHTS).view(3, 1, 1)
    return (difference * weights).sum(1, keepdim=True).expand_as(difference)


def filter_difference(difference: Tensor, mode: TransportMode, factor: int) -> Tensor:
    """What of D(z′) − D(z) (B, 3, H, W) is added to x* at α = 0 in detail or residual mode."""
    return high_pass(difference, factor) if mode is TransportMode.DETAIL else difference
