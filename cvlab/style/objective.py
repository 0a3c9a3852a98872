"""What style transfer makes small: a picture's distance from a content and from one style or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import _check
from cvlab.style.features import FeatureExtractor
from cvlab.style.losses import channel_moments, content_loss, gram_matrix, style_loss, total_variation

STATISTICS = {"gram": gram_matrix, "moments": channel_moments}
"""What is compared of a style's maps, by name."""

EPS = 1e-12


class Objective:
    """Compute the losses of a picture against targets that are computed once.

    Args:
        features: has all layers that are weighted.
        content: (1, 3, H, W) in [0, 1].
        styles: one or more, (1, 3, h, w) each, of any size.
        content_layers: weight of each layer whose maps should be the content's.
        style_layers: weight of each layer whose statistics should be the style's.
        content_weight: of the content term in the total.
        style_weight: of the style term.
        tv_weight: of the total variation, divided by the number of values.
        tv_power: 1 or 2, as `total_variation` takes it.
        statistic: "gram" or "moments".
        style_weights: of the styles, in relation to each other; None for all alike.
        masks: (S, H, W) in [0, 1], where in the picture each style counts; None blends all styles everywhere.
        relative: whether a style layer's loss is divided by the mean square of its target and a content layer's by the
            variance of its target. Weights then mean the same in every network and layer, and 1 is the loss of a grey
            picture or so.

    Returns:
        Called with a picture (1, 3, H, W), a dictionary of scalars named content, style and tv, unweighted, and total.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        content: Tensor,
        styles: Sequence[Tensor],
        *,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        content_weight: float,
        style_weight: float,
        tv_weight: float,
        tv_power: int = 1,
        statistic: str = "gram",
        style_weights: Sequence[float] | None = None,
        masks: Tensor | None = None,
        relative: bool = True,
    ) -> None:
        self.features, self.relative, self.statistic = features, relative, STATISTICS[statistic]
        self.content_layers, self.style_layers = content_layers, style_layers
        self.weights = (content_weight, style_weight, tv_weight)
        self.tv_power = tv_power
        shares = torch.tensor(style_weights or [1.0] * len(styles))
        self.shares = (shares / shares.sum()).tolist()
        with torch.no_grad():
            self.masks: dict[str, list[Tensor]] | None = None if masks is None else {}
            kept = features(content, lambda name, maps: self._keep(name, maps, masks))
            self.content = {name: kept[name] for name in content_layers}
            self.style = self._targets([features(style, self._statistic) for style in styles])

    def _keep(self, name: str, maps: Tensor, masks: Tensor | None) -> Tensor | None:
        """Keep a layer's map of the content where it is a target, and masks of its size."""
        if masks is not None and self.masks is not None:
            self.masks[name] = fitting(masks, maps)
        return maps.float() if name in self.content_layers else None

    def _statistic(self, name: str, maps: Tensor) -> Tensor | None:
        return self.statistic(maps) if name in self.style_layers else None

    def _targets(self, found: Sequence[dict[str, Tensor]]) -> dict[str, list[Tensor]]:
        """Give each layer's statistics to reach: one for each style's region, or their mean for the whole picture."""
        if self.masks is not None:
            return {name: [each[name] for each in found] for name in self.style_layers}
        shares = list(zip(self.shares, found, strict=True))
        return {name: [sum(share * each[name] for share, each in shares)] for name in self.style_layers}

    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        """Compute the losses."""
        found = self.features(picture, self._losses)
        content = mean({name: found[name][0] for name in self.content_layers}, self.content_layers)
        style = mean({name: found[name][1] for name in self.style_layers}, self.style_layers)
        tv = total_variation(picture, self.tv_power) / picture.numel()
        content_weight, style_weight, tv_weight = self.weights
        total = content_weight * content + style_weight * style + tv_weight * tv
        return {"content": content, "style": style, "tv": tv, "total": total}

    def _losses(self, name: str, maps: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Compute what a layer adds to content and style."""
        content = self._content(name, maps) if self.content_layers.get(name, 0) > 0 else None
        return content, self._style(name, maps) if self.style_layers.get(name, 0) > 0 else None

    def _content(self, name: str, maps: Tensor) -> Tensor:
        target = self.content[name]
        loss = content_loss(maps.float(), target)
        return loss / target.var().clamp(min=EPS) if self.relative else loss

    def _style(self, name: str, maps: Tensor) -> Tensor:
        masks = [None] if self.masks is None else self.masks[name]
        shares = [1.0] if self.masks is None else self.shares
        total = maps.new_zeros((), dtype=torch.float32)
        for share, mask, target in zip(shares, masks, self.style[name], strict=True):
            loss = style_loss(self.statistic(maps, mask=mask), target)
            total = total + share * (loss / target.square().mean().clamp(min=EPS) if self.relative else loss)
        return total


def mean(losses: Mapping[str, Tensor | None], weights: Mapping[str, float]) -> Tensor:
    """Weigh the losses of layers; a layer without one has weight 0."""
    total = sum(weights.values())
    terms = [weights[name] / total * loss for name, loss in losses.items() if loss is not None]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def fitting(masks: Tensor, maps: Tensor) -> list[Tensor]:
    """Bring masks (S, H, W) to a map's size; refuse one that covers nothing there."""
    small = functional.adaptive_avg_pool2d(masks[None].float(), maps.shape[-2:])[0]
    for i, mask in enumerate(small):
        if mask.sum() < EPS:
            raise _check.InputError(f"StyleTransfer: mask {i} covers nothing")
    return list(small)
