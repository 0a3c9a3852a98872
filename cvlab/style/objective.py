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
        Called with a picture (1, 3, H, W), a dictionary of scalars: content, style and tv, unweighted, and total.
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
            maps = features(content)
            self.content = {name: maps[name].float() for name in content_layers}
            self.masks = None if masks is None else {name: fitting(masks, maps[name]) for name in style_layers}
            found = [features(style) for style in styles]
            self.style = {name: self._target([each[name] for each in found]) for name in style_layers}

    def _target(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Give a layer's statistics to reach: one for each style's region, or their mean for the whole picture."""
        statistics = [self.statistic(each) for each in maps]
        if self.masks is not None:
            return statistics
        return [sum(share * each for share, each in zip(self.shares, statistics, strict=True))]

    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        """Compute the losses."""
        maps = self.features(picture)
        content = self._mean(self.content_layers, lambda name: self._content(name, maps[name]))
        style = self._mean(self.style_layers, lambda name: self._style(name, maps[name]))
        tv = total_variation(picture, self.tv_power) / picture.numel()
        content_weight, style_weight, tv_weight = self.weights
        total = content_weight * content + style_weight * style + tv_weight * tv
        return {"content": content, "style": style, "tv": tv, "total": total}

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

    def _mean(self, layers: Mapping[str, float], loss: object) -> Tensor:
        """Weigh the layers' losses by their shares."""
        weight = sum(layers.values())
        terms = [w / weight * loss(name) for name, w in layers.items() if w > 0]  # type: ignore[operator]
        return torch.stack(terms).sum() if terms else torch.zeros((), device=self.features.mean.device)


def fitting(masks: Tensor, maps: Tensor) -> list[Tensor]:
    """Bring masks (S, H, W) to a map's size; refuse one that covers nothing there."""
    small = functional.adaptive_avg_pool2d(masks[None].float(), maps.shape[-2:])[0]
    for i, mask in enumerate(small):
        if mask.sum() < EPS:
            raise _check.InputError(f"StyleTransfer: mask {i} covers nothing")
    return list(small)
