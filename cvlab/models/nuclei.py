"""Find the nuclei of cells in microscope pictures, with a network that was taught as `cvlab.recipes.nuclei` does."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from cvlab import _check
from cvlab.instances import connected_components, fill_holes, grow, split_touching
from cvlab.models.squeeze_unet import SqueezeUNet

SIZES = (1.3, 1.6)
"""How many times as large pictures are shown to the network. Many nuclei are a dozen pixels wide, others sixty."""

WINDOW = 41
"""Sides of the window in which the contrast is made even, pixels."""

SCALE, MIN_SIZE, DEPTH, SURE = 2, 30, 4.0, 0.8
"""Nuclei are told apart in a picture this many times as large. Smaller ones are left out, pixels of the picture; how
deep a waist is at which one is cut, enlarged pixels; and how probable the pixels of a nucleus are on average, at
least."""


def find_nuclei(model: SqueezeUNet, picture: Tensor, sizes: Sequence[float] = SIZES, symmetries: bool = True) -> Tensor:
    """Find the nuclei in a picture.

    Args:
        model: such as `squeeze_unet(weights="nuclei")`, on the CPU.
        picture: (3, H, W) uint8, nuclei bright on dark or dark on bright. It is seen whole; cut larger ones than some
            thousand pixels wide.
        sizes: how many times as large the network sees it; what it says at each is averaged.
        symmetries: whether to average over the eight symmetries of a square, too, which takes eight times as long.

    Returns:
        An instance map (H, W) int64, 0 where there is no nucleus.

    Raises:
        InputError: if this is no such picture, it is too small for the network, or there is no size.
    """
    _check.tensor("find_nuclei", "picture", picture)
    if picture.dim() != 3 or picture.shape[0] != 3 or picture.dtype != torch.uint8 or picture.numel() == 0:
        raise _check.InputError(
            f"find_nuclei: picture must be (3, H, W) uint8, got {tuple(picture.shape)} {picture.dtype}"
        )
    if not sizes or min(sizes) <= 0:
        raise _check.InputError(f"find_nuclei: sizes must be one or more numbers above 0, got {tuple(sizes)}")
    size = tuple(SCALE * side for side in picture.shape[1:])
    said = [mean_logits(model, shown(picture, scale), symmetries)[None] for scale in sizes]
    found = nuclei_apart(torch.cat([functional.interpolate(one, size, mode="bilinear") for one in said]).mean(0))
    return found[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]


def on_dark(picture: Tensor) -> Tensor:
    """Invert a picture (3, H, W) uint8 whose ground is bright, and stretch it to the full range of values."""
    values = picture.as_subclass(Tensor).float()
    values = 255 - values if values.median() > 127 else values
    return (stretched(values, values.mean(0)) * 255).to(torch.uint8)


def stretched(values: Tensor, grey: Tensor) -> Tensor:
    """Bring values to [0, 1], so that one in a hundred pixels of a grey picture (H, W) is 0, one in a thousand is 1."""
    some = grey.flatten()[:: 1 + grey.numel() // 10_000_000]  # PyTorch sorts no more than 16 million
    low, high = some.quantile(0.01), some.quantile(0.999)
    return ((values - low) / (high - low).clamp(min=1)).clamp(0, 1)


def shown(picture: Tensor, scale: float) -> Tensor:
    """Make what the network sees of a picture (3, H, W) uint8, `scale` times as large, without its colours.

    Its channels are grey, grey with dark parts raised, and local contrast. Grey is the mean of red and green: stained
    nuclei differ from their ground least in blue.
    """
    grey = on_dark(picture)[:2].float().mean(0)
    grey = stretched(grey, grey)
    mean = windowed(grey)
    deviation = (windowed(grey**2) - mean**2).clamp(min=0).sqrt()
    contrast = (grey - mean) / (deviation + 0.03)
    channels = torch.stack([grey, grey**0.4, (contrast / 6 + 0.5).clamp(0, 1)])
    large = functional.interpolate(channels[None], scale_factor=scale, mode="bilinear")
    return (large[0] * 255).round().to(torch.uint8)


def windowed(values: Tensor) -> Tensor:
    """Compute the mean (H, W) over windows of `WINDOW` x `WINDOW` pixels."""
    return torch.from_numpy(ndimage.uniform_filter(values.numpy(), WINDOW, mode="reflect"))


@torch.no_grad()
def mean_logits(model: SqueezeUNet, picture: Tensor, symmetries: bool = True) -> Tensor:
    """Compute the logits (2, H, W) of what `shown` gives, the mean over the eight symmetries of a square."""
    views = [(k, flip) for k in range(4) for flip in (False, True)] if symmetries else [(0, False)]
    total = torch.zeros(2, *picture.shape[1:])
    for k, flip in views:
        turned = torch.rot90(picture.flip(-1) if flip else picture, k, (-2, -1))
        out = torch.rot90(model.eval()(turned[None])["out"][0].float(), -k, (-2, -1))
        total += out.flip(-1) if flip else out
    return total / len(views)


def nuclei_apart(logits: Tensor) -> Tensor:
    """Find the nuclei in logits (2, H, W) of a picture that is `SCALE` times as large: an instance map (H, W).

    Nuclei with gaps are the seeds: holes are filled, and where a gap is open in part, the narrow place is cut. They
    grow into nuclei without gaps. Those are left out that the network is not sure about.
    """
    whole = fill_holes(logits[1] > 0)
    seeds = split_touching(fill_holes(logits[0] > 0) & whole, depth=DEPTH, min_size=5 * SCALE**2)
    parts = grow(seeds, None, within=whole)
    rest = connected_components(whole & (parts == 0))
    parts = torch.where(rest > 0, rest + parts.max(), parts)
    sizes = parts.flatten().bincount()
    total = torch.zeros(len(sizes)).index_add_(0, parts.flatten(), logits[1].sigmoid().flatten())
    kept = (sizes >= MIN_SIZE * SCALE**2) & (total >= SURE * sizes)
    kept[0] = False
    return (kept.cumsum(0) * kept)[parts]
