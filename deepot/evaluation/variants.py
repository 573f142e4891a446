"""Versions: what the versions of one photo are made of, and the points that are compared."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.autoencoder.autoencoder import Codec
from deepot.inference.detail_filter import details
from deepot.inference.enhancer import luma
from deepot.inference.modes import Keep, Mode
from deepot.inference.tiled_autoencoder import check_finite, decoder, encode
from deepot.photo.pixels import Pixels
from deepot.tiling.tiles import Span, TilePlan

CLEAN, RESTORED = "clean", "restored"
ROUND_TRIP, CLEAN_ROUND_TRIP = "round trip of restored", "round trip of clean"


@dataclass(frozen=True)
class Point:
    """One version of all photos: a mode of transport at an α, or one of the controls, which have none.

    Controls are the clean photo, x* ("restored", which is every mode's α = 1), and what the autoencoder alone makes of
    either: whatever "plain" gains at no transport at all is gained by the round trip, not by the map.
    """

    name: str
    alpha: float | None = None

    def __str__(self) -> str:
        return self.name if self.alpha is None else f"{self.name} α={self.alpha:g}"


def sweep(modes: Sequence[Mode], alphas: Sequence[float]) -> list[Point]:
    """The controls, then every mode at every α but 1, which is the control "restored"."""
    controls = [Point(name) for name in (RESTORED, ROUND_TRIP, CLEAN_ROUND_TRIP)]
    steps = sorted(set(alphas) - {1.0})
    return controls + [Point(mode.value, alpha) for mode in dict.fromkeys(modes) for alpha in steps]


@dataclass(frozen=True)
class Versions:
    """All that the versions of one photo are made of.

    Attributes:
        clean: x, (H, W, 3), uint8, or (H, W, 1) where it is grey.
        restored: x*, likewise.
        clean_round_trip: D(E(x)), (1, 3, H, W), float32.
        round_trip: D(z) with z = E(x*).
        moved: D(z′), z′ the transported z.
        details: of D(z′) − D(z).
        clean_latents: E(x), (1, c, h, w), float32.
        latents: z.
        moved_latents: z′.
    """

    clean: Tensor
    restored: Tensor
    clean_round_trip: Tensor
    round_trip: Tensor
    moved: Tensor
    details: Tensor
    clean_latents: Tensor
    latents: Tensor
    moved_latents: Tensor

    def image(self, point: Point, keep: Collection[Keep] = ()) -> Tensor:
        """The version as the program writes it, rounded to 8 bits: (1, 3, H, W), [0, 1]; `keep` as for `Enhancer`."""
        if point.name == CLEAN:
            return Pixels(self.clean.numpy()).rgb()
        pixels = Pixels(self.restored.numpy().copy())
        if point.name == RESTORED:
            return pixels.rgb()
        share = 1.0 if point.alpha is None else 1 - point.alpha
        if point.name == Mode.DETAIL.value:
            change = self.details
        elif point.name == Mode.RESIDUAL.value:
            change = self.moved - self.round_trip
        else:
            wanted = {CLEAN_ROUND_TRIP: self.clean_round_trip, ROUND_TRIP: self.round_trip}
            change = wanted.get(point.name, self.moved) - pixels.rgb()
        kept = Keep.COLOUR in keep and point.alpha is not None
        pixels.add(0, share * (luma(change) if kept else change))
        return pixels.rgb()

    def latents_of(self, point: Point) -> Tensor:
        """The latents that the version was decoded from: z + (1 − α)(z′ − z) for all modes."""
        if point.alpha is not None:
            return torch.lerp(self.moved_latents, self.latents, point.alpha)
        return self.clean_latents if point.name in (CLEAN, CLEAN_ROUND_TRIP) else self.latents


@torch.inference_mode()
def versions(
    codec: Codec, transport: Callable[[Tensor], Tensor], clean: Pixels, restored: Pixels, plan: TilePlan
) -> Versions:
    """Encode, transport and decode a photo, both sides of it 8-bit RGB of one size.

    Raises:
        CodecError: the autoencoder gave values that are not finite.
    """

    def stitched(compute: Callable[..., Sequence[Tensor]], *latents: Tensor) -> list[Tensor]:
        """What is computed of tiles of latents, image by image."""

        def tile(row: Span, column: Span) -> Tensor:
            window = (..., slice(row.start, row.stop), slice(column.start, column.stop))
            return torch.cat(list(compute(*(z[window] for z in latents))), dim=1)

        blocks = list(plan.stitch(tile, codec.factor))
        size = plan.height * codec.factor, plan.width * codec.factor
        joined = blocks[0].values.new_empty(1, blocks[0].values.shape[1], *size)
        for block in blocks:
            joined[:, :, *block.place] = block.values
        check_finite(codec, joined)
        cropped = joined[:, :, : clean.height, : clean.width].float().cpu()
        return [image.contiguous() for image in torch.split(cropped, 3, dim=1)]

    z, z_clean = encode(codec, restored, plan), encode(codec, clean, plan)
    moved = transport(z)
    of_clean, of_restored, of_moved = (decoder(codec, latents, plan) for latents in (z_clean, z, moved))

    def decode(latents: Tensor) -> list[Tensor]:
        return [of_clean(latents)]

    def move(latents: Tensor, moved: Tensor) -> list[Tensor]:
        before, after = of_restored(latents), of_moved(moved)
        return [before, after, details(after - before, codec.factor)]

    samples = [torch.from_numpy(pixels.samples) for pixels in (clean, restored)]
    images = stitched(decode, z_clean) + stitched(move, z, moved)
    return Versions(*samples, *images, *(latents.cpu().contiguous() for latents in (z_clean, z, moved)))
