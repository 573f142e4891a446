"""Variants of one photo: everything that the points of a sweep are composed of."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from deepot.autoencoder import LoadedAutoencoder
from deepot.evaluation.sweep import CLEAN, CLEAN_RECONSTRUCTION, RESTORED, RESTORED_RECONSTRUCTION, SweepPoint
from deepot.inference import (
    Composition,
    Preserve,
    TransportMode,
    check_finite,
    encode_tiled,
    make_tile_decoder,
    mix_companion,
    read_cells,
)
from deepot.photo import Pixels
from deepot.tiling import Span, TilePlan
from deepot.transport import BandGains, ToneCurve


@dataclass(frozen=True)
class PhotoVariants:
    """Everything that the variants of one photo are composed of; decoded images are (1, 3, H, W), float32.

    Attributes:
        clean: The clean photo x, (H, W, 3) uint8, or (H, W, 1) if it is grey.
        restored: The restored photo x*, likewise.
        toned: x* with the tone curve of the map applied, in [0, 1].
        clean_reconstruction: D(E(x)).
        reconstruction: D(z), with z = E(x*).
        transported: D(z′), with z′ the transported z.
        auto_delta: What `Composition.filter_decoded` returns in the mode `auto`.
        detail_delta: The same in detail mode.
        residual_delta: The same in residual mode.
        gains: The fields of the map's `BandGains` that are not empty, (2 or 4, n), float64; (2, 0) without gains.
        factor: The autoencoder's factor, ().
        companion: The companion c of the restored photo, as `restored`; (0,) without one.
        companion_weight: Its weight at α = 2, (), float64.
        clean_latents: E(x), (1, c, h, w), float32.
        latents: z, likewise.
        transported_latents: z′, likewise.
        companion_latents: E(c), likewise; (0,) without a companion.
    """

    clean: Tensor
    restored: Tensor
    toned: Tensor
    clean_reconstruction: Tensor
    reconstruction: Tensor
    transported: Tensor
    auto_delta: Tensor
    detail_delta: Tensor
    residual_delta: Tensor
    gains: Tensor
    factor: Tensor
    companion: Tensor
    companion_weight: Tensor
    clean_latents: Tensor
    latents: Tensor
    transported_latents: Tensor
    companion_latents: Tensor

    def render(self, point: SweepPoint, preserve: Collection[Preserve] = ()) -> Tensor:
        """Return the variant as it would be written, in 8 bits, (1, 3, H, W) in [0, 1]; `preserve` as in `Enhancer`."""
        if point.name == CLEAN:
            return Pixels(self.clean.numpy()).to_rgb()
        pixels = Pixels(self.restored.numpy().copy())
        if point.name == RESTORED:
            return pixels.to_rgb()
        reconstructions = {
            CLEAN_RECONSTRUCTION: self.clean_reconstruction,
            RESTORED_RECONSTRUCTION: self.reconstruction,
        }
        if point.name in reconstructions:
            pixels.add_rgb_delta(0, reconstructions[point.name] - pixels.to_rgb())
            return pixels.to_rgb()
        if (share := self._companion_share(point)) is not None:
            luma_only = Preserve.CHROMA in preserve
            mix_companion(pixels, Pixels(self.companion.numpy()), share, luma_only=luma_only)
            return pixels.to_rgb()
        mode, strength = TransportMode(point.name), 1.0 if point.alpha is None else 1 - point.alpha
        gains = BandGains(*map(tuple, self.gains.tolist())) if self.gains.numel() else None
        composition = Composition(mode, int(self.factor), preserve=preserve, gains=gains)
        areas, region = (
            composition.find_constant_areas(pixels.samples),
            (slice(0, pixels.height), slice(0, pixels.width)),
        )
        constant = None if areas is None else torch.from_numpy(areas.mask(*region))
        deltas = {
            TransportMode.AUTO: self.auto_delta,
            TransportMode.DETAIL: self.detail_delta,
            TransportMode.RESIDUAL: self.residual_delta,
        }
        is_grey = pixels.samples.shape[2] == 1
        decoded = deltas.get(mode, self.transported)
        change = composition.change(decoded, pixels.to_rgb(), self.toned, strength, constant, grey=is_grey)
        pixels.add_rgb_delta(0, change)
        return pixels.to_rgb()

    def _companion_share(self, point: SweepPoint) -> float | None:
        """Return the share of the companion in a variant; None if the variant is not mixed with it."""
        if point.alpha is None or point.alpha <= 1 or not self.companion.numel():
            return None
        return (point.alpha - 1) * float(self.companion_weight)

    def latents_of(self, point: SweepPoint) -> Tensor:
        """Return the latents (1, c, h, w) of the variant: z + (1 − α)(z′ − z) in all modes, or mixed with E(c)."""
        if (share := self._companion_share(point)) is not None:
            return torch.lerp(self.latents, self.companion_latents, share)
        if point.alpha is not None:
            return torch.lerp(self.transported_latents, self.latents, point.alpha)
        return self.clean_latents if point.name in (CLEAN, CLEAN_RECONSTRUCTION) else self.latents


@torch.inference_mode()
def compute_variants(
    autoencoder: LoadedAutoencoder,
    transport: Callable[[Tensor], Tensor],
    clean: Pixels | None,
    restored: Pixels,
    plan: TilePlan,
    tone: ToneCurve | None = None,
    gains: BandGains | None = None,
    companion: Pixels | None = None,
    companion_weight: float = 0.0,
) -> PhotoVariants:
    """Encode, transport and decode a photo.

    Args:
        autoencoder: The autoencoder.
        transport: The map as an operator on latents.
        clean: The clean photo, 8-bit grey or RGB; None if there is none: the restored photo stands in its place then.
        restored: The restored photo, of the same size and kind.
        plan: The tiles of both.
        tone: The tone curve of the map; None without one.
        gains: The gains of the map's bands; None without them.
        companion: The companion of the restored photo, as `restored`; None without one.
        companion_weight: The weight that the map has for it.

    Raises:
        AutoencoderError: The autoencoder returned values that are not finite.
    """

    def stitch_images(compute: Callable[[slice, slice], Sequence[Tensor]]) -> list[Tensor]:
        """Compute images tile by tile, from rows and columns of latents, and return them one by one."""

        def compute_tile(row: Span, column: Span) -> Tensor:
            return torch.cat(list(compute(slice(row.start, row.stop), slice(column.start, column.stop))), dim=1)

        blocks = list(plan.stitch(compute_tile, autoencoder.factor))
        size = plan.height * autoencoder.factor, plan.width * autoencoder.factor
        canvas = blocks[0].values.new_empty(1, blocks[0].values.shape[1], *size)
        for block in blocks:
            canvas[:, :, *block.region] = block.values
        check_finite(autoencoder, canvas)
        cropped = canvas[:, :, : restored.height, : restored.width].float().cpu()
        return [image.contiguous() for image in torch.split(cropped, 3, dim=1)]

    modes = (TransportMode.AUTO, TransportMode.DETAIL, TransportMode.RESIDUAL)
    compositions = [Composition(mode, autoencoder.factor, tone, gains=gains) for mode in modes]
    z = encode_tiled(autoencoder, restored, plan, compositions[0].apply_tone)
    z_clean = z if clean is None else encode_tiled(autoencoder, clean, plan)
    transported = transport(z)
    z_companion = torch.empty(0) if companion is None else encode_tiled(autoencoder, companion, plan)
    decode_clean, decode_restored, decode_transported = (
        make_tile_decoder(autoencoder, latents, plan) for latents in (z_clean, z, transported)
    )

    def compute_clean(rows: slice, columns: slice) -> list[Tensor]:
        return [decode_clean(z_clean[..., rows, columns])]

    def compute_restored(rows: slice, columns: slice) -> list[Tensor]:
        before, after = decode_restored(z[..., rows, columns]), decode_transported(transported[..., rows, columns])
        read_toned = partial(read_cells, autoencoder, restored, rows, columns, compositions[0].apply_tone)
        return [before, after, *(each.filter_decoded(after, before, read_toned) for each in compositions)]

    clean_samples, restored_samples = (torch.from_numpy(pixels.samples) for pixels in (clean or restored, restored))
    reconstruction, decoded, auto_delta, detail_delta, residual_delta = stitch_images(compute_restored)
    (clean_reconstruction,) = [reconstruction] if clean is None else stitch_images(compute_clean)
    return PhotoVariants(
        clean=clean_samples,
        restored=restored_samples,
        toned=compositions[0].apply_tone(restored.to_rgb()).contiguous(),
        clean_reconstruction=clean_reconstruction,
        reconstruction=reconstruction,
        transported=decoded,
        auto_delta=auto_delta,
        detail_delta=detail_delta,
        residual_delta=residual_delta,
        gains=torch.tensor([each for each in vars(gains).values() if each] if gains else [[], []], dtype=torch.float64),
        factor=torch.tensor(autoencoder.factor),
        companion=torch.empty(0) if companion is None else torch.from_numpy(companion.samples),
        companion_weight=torch.tensor(companion_weight, dtype=torch.float64),
        clean_latents=z_clean.cpu().contiguous(),
        latents=z.cpu().contiguous(),
        transported_latents=transported.cpu().contiguous(),
        companion_latents=z_companion.cpu().contiguous(),
    )
