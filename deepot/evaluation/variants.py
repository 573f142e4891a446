"""Versions: what the versions of one photo are made of, and the points that are compared."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder
from deepot.inference import (
    Preserve,
    TransportMode,
    check_finite,
    encode_tiled,
    high_pass,
    luma_difference,
    make_tile_decoder,
)
from deepot.photo import Pixels
from deepot.tiling import Span, TilePlan

CLEAN, RESTORED = "clean", "restored"
RESTORED_RECONSTRUCTION, CLEAN_RECONSTRUCTION = "round trip of restored", "round trip of clean"


@dataclass(frozen=True)
class SweepPoint:
    """One version of all photos: a mode of transport at an α, or one of the controls, which have none.

    Controls are the clean photo, x* ("restored", which is every mode's α = 1), and what the autoencoder alone makes of
    either: whatever "plain" gains at no transport at all is gained by the round trip, not by the map.
    """

    name: str
    alpha: float | None = None

    def __str__(self) -> str:
        return self.name if self.alpha is None else f"{self.name} α={self.alpha:g}"


def sweep_points(modes: Sequence[TransportMode], alphas: Sequence[float]) -> list[SweepPoint]:
    """The controls, then every mode at every α but 1, which is the control "restored"."""
    controls = [SweepPoint(name) for name in (RESTORED, RESTORED_RECONSTRUCTION, CLEAN_RECONSTRUCTION)]
    steps = sorted(set(alphas) - {1.0})
    return controls + [SweepPoint(mode.value, alpha) for mode in dict.fromkeys(modes) for alpha in steps]


@dataclass(frozen=True)
class PhotoVariants:
    """All that the versions of one photo are made of.

    Attributes:
        clean: x, (H, W, 3), uint8, or (H, W, 1) where it is grey.
        restored: x*, likewise.
        clean_reconstruction: D(E(x)), (1, 3, H, W), float32.
        reconstruction: D(z) with z = E(x*).
        transported: D(z′), z′ the transported z.
        detail_delta: of D(z′) − D(z).
        clean_latents: E(x), (1, c, h, w), float32.
        latents: z.
        transported_latents: z′.
    """

    clean: Tensor
    restored: Tensor
    clean_reconstruction: Tensor
    reconstruction: Tensor
    transported: Tensor
    detail_delta: Tensor
    clean_latents: Tensor
    latents: Tensor
    transported_latents: Tensor

    def render(self, point: SweepPoint, preserve: Collection[Preserve] = ()) -> Tensor:
        """The version as the program writes it, rounded to 8 bits: (1, 3, H, W), [0, 1]; `preserve` as for `Enhancer`."""
        if point.name == CLEAN:
            return Pixels(self.clean.numpy()).to_rgb()
        pixels = Pixels(self.restored.numpy().copy())
        if point.name == RESTORED:
            return pixels.to_rgb()
        strength = 1.0 if point.alpha is None else 1 - point.alpha
        if point.name == TransportMode.DETAIL.value:
            delta = self.detail_delta
        elif point.name == TransportMode.RESIDUAL.value:
            delta = self.transported - self.reconstruction
        else:
            reconstructions = {
                CLEAN_RECONSTRUCTION: self.clean_reconstruction,
                RESTORED_RECONSTRUCTION: self.reconstruction,
            }
            delta = reconstructions.get(point.name, self.transported) - pixels.to_rgb()
        preserve_chroma = Preserve.CHROMA in preserve and point.alpha is not None
        pixels.add_rgb_delta(0, strength * (luma_difference(delta) if preserve_chroma else delta))
        return pixels.to_rgb()

    def latents_of(self, point: SweepPoint) -> Tensor:
        """The latents that the version was decoded from: z + (1 − α)(z′ − z) for all modes."""
        if point.alpha is not None:
            return torch.lerp(self.transported_latents, self.latents, point.alpha)
        return self.clean_latents if point.name in (CLEAN, CLEAN_RECONSTRUCTION) else self.latents


@torch.inference_mode()
def compute_variants(
    autoencoder: LoadedAutoencoder,
    transport: Callable[[Tensor], Tensor],
    clean: Pixels,
    restored: Pixels,
    plan: TilePlan,
) -> PhotoVariants:
    """Encode, transport and decode a photo, both sides of it 8-bit RGB of one size.

    Raises:
        AutoencoderError: the autoencoder gave values that are not finite.
    """

    def stitch_images(compute: Callable[..., Sequence[Tensor]], *latents: Tensor) -> list[Tensor]:
        """What is computed of tiles of latents, image by image."""

        def compute_tile(row: Span, column: Span) -> Tensor:
            window = (..., slice(row.start, row.stop), slice(column.start, column.stop))
            return torch.cat(list(compute(*(z[window] for z in latents))), dim=1)

        blocks = list(plan.stitch(compute_tile, autoencoder.factor))
        size = plan.height * autoencoder.factor, plan.width * autoencoder.factor
        canvas = blocks[0].values.new_empty(1, blocks[0].values.shape[1], *size)
        for block in blocks:
            canvas[:, :, *block.region] = block.values
        check_finite(autoencoder, canvas)
        cropped = canvas[:, :, : clean.height, : clean.width].float().cpu()
        return [image.contiguous() for image in torch.split(cropped, 3, dim=1)]

    z, z_clean = encode_tiled(autoencoder, restored, plan), encode_tiled(autoencoder, clean, plan)
    transported = transport(z)
    decode_clean, decode_restored, decode_transported = (
        make_tile_decoder(autoencoder, latents, plan) for latents in (z_clean, z, transported)
    )

    def compute_clean(latents: Tensor) -> list[Tensor]:
        return [decode_clean(latents)]

    def compute_restored(latents: Tensor, moved: Tensor) -> list[Tensor]:
        before, after = decode_restored(latents), decode_transported(moved)
        return [before, after, high_pass(after - before, autoencoder.factor)]

    samples = [torch.from_numpy(pixels.samples) for pixels in (clean, restored)]
    images = stitch_images(compute_clean, z_clean) + stitch_images(compute_restored, z, transported)
    return PhotoVariants(*samples, *images, *(latents.cpu().contiguous() for latents in (z_clean, z, transported)))
