"""Losses of segmentation: one for each pixel, and one for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import _check
from cvlab.losses._reduce import REDUCTIONS, reduce
from cvlab.losses._weights import at_least_0


def pixel_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    class_weights: Tensor | Sequence[float] | None = None,
    pixel_weights: Tensor | None = None,
    ignore: int = 255,
    gamma: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Compute the cross-entropy of every pixel, or its focal form.

    With p the probability that the softmax gives to the pixel's class, a pixel's loss is -w (1 - p)^gamma log p.

    Args:
        logits: (B, K, H, W) float.
        labels: (B, H, W) integers, from 0 to K - 1, or `ignore`.
        class_weights: (K,) of at least 0, such as `frequency_weights` gives; a factor of w by the pixel's class.
        pixel_weights: (B, H, W) float, at least 0, such as `border_weights`; another factor of w.
        ignore: The label of pixels that do not count.
        gamma: How far pixels that are right already are turned down; 0 is the cross-entropy.
        reduction: "mean" divides the sum by the weights w of the pixels that count, as torch does; "sum"; "none" gives
            all losses, 0 where ignored.

    Returns:
        One number, or (B, H, W); float32 for logits in half precision. Where no pixel counts, or all weights are 0, the
        mean is 0, and so is its gradient.

    Raises:
        TypeError: Logits, labels or pixel weights are no tensor.
        InputError: Shapes do not fit, logits are no floats or labels no integers, a label is out of range (its pixel is
            named), a weight or gamma is negative or not finite, or the reduction is unknown.

    Notes:
        torch's `cross_entropy(logits, labels, class_weights, ignore_index=ignore)` gives NaN where no pixel counts.

    Example:
        >>> logits = torch.tensor([[[[0.0, 2.0, 9.0]], [[0.0, 0.0, 0.0]]]])  # (1, 2, 1, 3)
        >>> labels = torch.tensor([[[1, 0, 255]]])
        >>> pixel_cross_entropy(logits, labels, reduction="none")  # log 2, log(1 + e^-2), ignored
        tensor([[[0.6931, 0.1269, 0.0000]]])
        >>> pixel_cross_entropy(logits, labels)
        tensor(0.4100)

    References:
        Long et al. (2015). Fully convolutional networks for semantic segmentation. Section 4. Lin et al. (2017). Focal
        loss for dense object detection. Equation 4. Ronneberger et al. (2015). U-Net. Equation 1.
    """
    op = "pixel_cross_entropy"
    truth, counted = _truth(op, logits, labels, ignore)
    _check.positive(op, "gamma", [gamma], zero=True)
    _check.choice(op, "reduction", reduction, REDUCTIONS)
    scores = _widened(logits)
    if class_weights is None and pixel_weights is None and gamma == 0 and reduction == "mean":
        return functional.cross_entropy(scores, truth, ignore_index=ignore, reduction="sum") / counted.sum().clamp(1)
    losses = functional.cross_entropy(scores, truth, ignore_index=ignore, reduction="none")
    if gamma > 0:
        wrong = -torch.expm1(-losses)  # 1 - p
        losses = losses * wrong.clamp(torch.finfo(wrong.dtype).tiny) ** gamma  # 0 ** gamma may have no gradient
    weights = counted.to(losses.dtype)
    if class_weights is not None:
        weights = weights * _class_weights(op, class_weights, scores)[truth.where(counted, 0)]
    if pixel_weights is not None:
        weights = weights * _pixel_weights(op, pixel_weights, labels)
    losses = losses * weights
    if reduction == "mean":
        total = weights.sum()
        return losses.sum() / total.where(total > 0, 1)
    return reduce(op, losses, reduction)


def dice_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    ignore: int = 255,
    smooth: float = 1.0,
    foreground_only: bool = False,
    squared: bool = False,
) -> Tensor:
    """Compute one minus the mean Dice coefficient of the classes: each counts alike, however few pixels it has.

    With p the softmax of the logits and t the truth as 0 and 1, sums over all pixels of the batch that count, the
    coefficient of a class is (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth).

    Args:
        logits: (B, K, H, W) float.
        labels: (B, H, W) integers, from 0 to K - 1, or `ignore`.
        ignore: The label of pixels that are left out of all sums.
        smooth: Added above and below, so that a class of few pixels does not jump.
        foreground_only: Leave out class 0, the background.
        squared: Take sum(p^2) for sum(p), as Milletari et al. do; certain answers then count less.

    Returns:
        One number in [0, 1]; float32 for logits in half precision. Only classes that occur in the batch's labels count.
        Where none does, it is 0, and so is its gradient.

    Raises:
        TypeError: Logits or labels are no tensor.
        InputError: Shapes do not fit, logits are no floats or labels no integers, a label is out of range (its pixel is
            named), or smooth is negative or not finite.

    Notes:
        The batch is treated as one picture. A class that does not occur would have a coefficient of nearly 0 whatever
        the network says, and push it nowhere but down.

    Example:
        >>> logits = torch.tensor([[[[0.0, 0.0]], [[0.0, 0.0]]]])  # two pixels, p = 1/2 for both classes
        >>> dice_loss(logits, torch.tensor([[[0, 1]]]), smooth=0.0)  # each 2 * 1/2 / (1 + 1)
        tensor(0.5000)

    References:
        Milletari et al. (2016). V-Net. Section 3.
    """
    op = "dice_loss"
    truth, counted = _truth(op, logits, labels, ignore)
    _check.positive(op, "smooth", [smooth], zero=True)
    classes = logits.shape[1]
    p = _widened(logits).softmax(1) * counted[:, None]  # (B, K, H, W), 0 where ignored
    known = truth.where(counted, 0)
    right = p.gather(1, known[:, None]).flatten()  # (B H W), the probability of each pixel's class, 0 where ignored
    both = right.new_zeros(classes).index_add(0, known.flatten(), right)  # (K,)
    area = torch.bincount(truth[counted], minlength=classes).to(p.dtype)  # (K,)
    said = (p * p if squared else p).sum((0, 2, 3))  # (K,)
    present = area > 0
    if foreground_only:
        present = present & (torch.arange(classes, device=area.device) > 0)
    dice = (2 * both + smooth) / (said + area + smooth).where(present, 1)
    return ((1 - dice) * present).sum() / present.sum().clamp(1)


@dataclass(frozen=True, eq=False)
class SegmentationLoss:
    """The loss of a segmentation network, for `cvlab.engine.fit(loss=...)`.

    Args:
        cross_entropy: Factor of `pixel_cross_entropy`; 0 leaves it out.
        dice: Factor of `dice_loss`; 0 leaves it out.
        gamma: Of the focal form of the cross-entropy.
        class_weights: (K,), of the cross-entropy.
        ignore: The label of pixels that do not count.
        auxiliary: Factor of the same loss of a network's second answer, "aux", where it gives one.

    Returns:
        Called with a network, images (B, 3, H, W) and a dictionary of targets, it runs the network and gives terms by
        name: "cross_entropy", "dice" and "aux", those that there are. The targets have "semantic" (B, H, W) integers,
        and may have "weights" (B, H, W), which are for the cross-entropy alone.

    Raises:
        InputError: A factor is negative, or both are 0; when called, the network gives no dictionary with "out", there
            is no "semantic", or as `pixel_cross_entropy` and `dice_loss`.

    Notes:
        0.4 is Zhao et al.'s factor for "aux"; torchvision's script of training takes 0.5.

    Example:
        >>> images, targets = torch.zeros(1, 3, 2, 2), {"semantic": torch.ones(1, 2, 2, dtype=torch.uint8)}
        >>> SegmentationLoss(dice=1.0)(lambda images: {"out": images}, images, targets)
        {'cross_entropy': tensor(1.0986), 'dice': tensor(0.4211)}

    References:
        Zhao et al. (2017). Pyramid scene parsing network. Section 3.3, on deep supervision.
    """

    cross_entropy: float = 1.0
    dice: float = 0.0
    gamma: float = 0.0
    class_weights: Tensor | Sequence[float] | None = None
    ignore: int = 255
    auxiliary: float = 0.4

    def __post_init__(self) -> None:
        op = "SegmentationLoss"
        factors = [self.cross_entropy, self.dice, self.gamma, self.auxiliary]
        _check.positive(op, "(cross_entropy, dice, gamma, auxiliary)", factors, zero=True)
        if self.cross_entropy == self.dice == 0:
            raise _check.InputError(f"{op}: cross_entropy or dice must be above 0, both are 0")

    def __call__(self, model: Any, images: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        """Compute the terms."""
        if "semantic" not in targets:
            raise _check.InputError(f"SegmentationLoss: targets must have 'semantic', got {sorted(targets)}")
        answer = model(images)
        if not isinstance(answer, Mapping) or "out" not in answer:
            got = sorted(answer) if isinstance(answer, Mapping) else type(answer).__name__
            raise _check.InputError(f"SegmentationLoss: the network must give a dictionary with 'out', got {got}")
        terms = self._terms(answer["out"], targets)
        if "aux" in answer and self.auxiliary > 0:
            terms["aux"] = self.auxiliary * sum(self._terms(answer["aux"], targets).values())
        return terms

    def _terms(self, logits: Tensor, targets: Mapping[str, Any]) -> dict[str, Tensor]:
        labels, shared, terms = targets["semantic"], {"ignore": self.ignore}, {}
        if self.cross_entropy > 0:
            weights = {"class_weights": self.class_weights, "pixel_weights": targets.get("weights")}
            loss = pixel_cross_entropy(logits, labels, gamma=self.gamma, **weights, **shared)
            terms["cross_entropy"] = self.cross_entropy * loss
        if self.dice > 0:
            terms["dice"] = self.dice * dice_loss(logits, labels, **shared)
        return terms


def _truth(op: str, logits: Tensor, labels: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Check logits and labels, and give the labels as int64 and which pixels count, both (B, H, W)."""
    _check.numeric(op, "logits", logits, floating=True)
    _check.shape(op, "logits", logits, ("B", "K", "H", "W"))
    _check.shape(op, "labels", labels, (logits.shape[0], *logits.shape[2:]))
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise _check.InputError(f"{op}: labels must be integers, such as torch.uint8, got {labels.dtype}")
    if not isinstance(ignore, int):
        raise _check.InputError(f"{op}: ignore must be a whole number, got {ignore!r}")
    truth, classes = labels.as_subclass(Tensor).long(), logits.shape[1]
    counted = truth != ignore
    if _check.readable(truth) and truth.numel():
        low, high = (int(x) for x in truth.aminmax())
        if low < 0 or high >= classes:
            wrong = ((truth < 0) | (truth >= classes)) & counted
            if bool(wrong.any()):
                place = wrong.nonzero()[0].tolist()
                limits = f"must lie from 0 to {classes - 1} or be {ignore} (ignored)"
                raise _check.InputError(f"{op}: labels{place} {limits}, got {int(truth[tuple(place)])}")
    return truth, counted


def _widened(logits: Tensor) -> Tensor:
    """Give logits of half precision as float32: sums over many pixels would overflow."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _class_weights(op: str, weights: Tensor | Sequence[float], scores: Tensor) -> Tensor:
    found = torch.as_tensor(weights, dtype=scores.dtype, device=scores.device)
    _check.shape(op, "class_weights", found, (scores.shape[1],))
    at_least_0(op, "class_weights", found)
    return found


def _pixel_weights(op: str, weights: Tensor, labels: Tensor) -> Tensor:
    _check.numeric(op, "pixel_weights", weights, floating=True)
    _check.shape(op, "pixel_weights", weights, tuple(labels.shape))
    at_least_0(op, "pixel_weights", weights)
    return weights.as_subclass(Tensor)
