"""Losses of classes where almost everything is background: mine the hard negatives, or turn down the easy ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import _check
from cvlab.losses._reduce import REDUCTIONS, reduce


def mine_hard_negatives(losses: Tensor, positive: Tensor, ratio: float = 3.0, least: int = 8) -> Tensor:
    """Choose, in each image, the background anchors that the network gets most wrong.

    Args:
        losses: (B, A) float, the loss that each anchor would have.
        positive: (B, A) bool, true where an anchor has an object; these are never chosen.
        ratio: How many negatives are chosen for each positive.
        least: How many are chosen at least, so that an image without objects teaches something too.

    Returns:
        (B, A) bool, true at the negatives chosen.

    Raises:
        InputError: The shapes differ, or a number is negative.

    Example:
        >>> losses = torch.tensor([[0.9, 0.1, 0.8, 0.3, 0.2]])
        >>> positive = torch.tensor([[True, False, False, False, False]])
        >>> mine_hard_negatives(losses, positive, ratio=2.0, least=0)
        tensor([[False, False,  True,  True, False]])

    References:
        Liu et al. (2016). SSD. Section 2.2, hard negative mining.
    """
    op = "mine_hard_negatives"
    _check.numeric(op, "losses", losses, floating=True)
    _check.shape(op, "losses", losses, ("B", "A"))
    _check.shape(op, "positive", positive, tuple(losses.shape))
    _check.positive(op, "ratio, least", [ratio, least], zero=True)
    candidates = losses.detach().masked_fill(positive, -1.0)  # a loss is never below 0
    wanted = (positive.sum(1) * ratio).clamp(min=least).clamp(max=losses.shape[1])  # (B,)
    rank = candidates.argsort(dim=1, descending=True, stable=True).argsort(1)  # (B, A): 0 for the largest loss
    return (rank < wanted[:, None]) & ~positive


def hard_negative_cross_entropy(
    logits: Tensor, labels: Tensor, ratio: float = 3.0, least: int = 8, reduction: str = "mean"
) -> Tensor:
    """Compute the cross-entropy of all anchors that have an object, and of the hardest of those that have none.

    Args:
        logits: (B, A, K) float, of background and K - 1 classes.
        labels: (B, A) signed integers from 0 to K - 1, 0 for background.
        ratio: As in `mine_hard_negatives`; `math.inf` takes all negatives.
        least: As in `mine_hard_negatives`.
        reduction: "mean" divides the sum by the number of positives in the batch (at least 1), as SSD does; "sum";
            "none" gives (B, A) with 0 where an anchor was not chosen.

    Returns:
        One number, or (B, A).

    Raises:
        InputError: Shapes do not fit, a label is no integer or out of range, or the reduction is unknown.

    Notes:
        torchvision's SSD takes no negatives in an image without objects; that is `least` 0.

    Example:
        >>> logits = torch.tensor([[[0.0, 2.0], [2.0, 0.0], [0.0, 1.0]]])  # background, apple
        >>> hard_negative_cross_entropy(logits, torch.tensor([[1, 0, 0]]), 1.0, 0, "none")  # the third is hardest
        tensor([[0.1269, 0.0000, 1.3133]])

    References:
        Liu et al. (2016). SSD. Equation 3.
    """
    op = "hard_negative_cross_entropy"
    _check.numeric(op, "logits", logits, floating=True)
    _check.shape(op, "logits", logits, ("B", "A", "K"))
    _check.shape(op, "labels", labels, tuple(logits.shape[:2]))
    _check_labels(op, labels, logits.shape[2])
    _check.choice(op, "reduction", reduction, REDUCTIONS)
    losses = functional.cross_entropy(logits.flatten(0, 1), labels.long().flatten(), reduction="none").view_as(labels)
    positive = labels > 0
    chosen = positive | (mine_hard_negatives(losses, positive, ratio, least) if ratio != torch.inf else ~positive)
    losses = losses * chosen
    if reduction == "mean":
        return losses.sum() / positive.sum().clamp(min=1)
    return reduce(op, losses, reduction)


def _check_labels(op: str, labels: Tensor, num_classes: int) -> None:
    _check.integer(op, "labels", labels)
    if not _check.readable(labels) or labels.numel() == 0:
        return
    low, high = (int(x) for x in labels.aminmax())
    if low < 0 or high >= num_classes:
        b, a = ((labels < 0) | (labels >= num_classes)).nonzero()[0].tolist()
        got = int(labels[b, a])
        raise _check.InputError(f"{op}: labels[{b}, {a}] must lie from 0 to {num_classes - 1}, got {got}")


def sigmoid_focal_loss(
    inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Tensor:
    """Compute a binary cross-entropy that turns down what is already right.

    Args:
        inputs: (...) float logits.
        targets: (...) float of the same shape, 0 or 1.
        alpha: Weight of the ones, 1 - alpha of the zeros; negative for no weights.
        gamma: How far easy examples are turned down: with p the probability given to the truth, by (1 - p)^gamma.
        reduction: "none", "sum" or "mean".

    Returns:
        (...) float, or one number.

    Raises:
        InputError: The shapes differ, inputs or targets are no floats, alpha is above 1, gamma is negative, or the
            reduction is unknown.

    Notes:
        torchvision's function of that name.

    Example:
        >>> sigmoid_focal_loss(torch.tensor([0.0, 4.0]), torch.ones(2))  # 0.25 * 0.5^2 * 0.6931; nearly nothing
        tensor([4.3322e-02, 1.4679e-06])

    References:
        Lin et al. (2017). Focal loss for dense object detection. Equation 5.
    """
    op = "sigmoid_focal_loss"
    _check.numeric(op, "inputs", inputs, floating=True)
    _check.numeric(op, "targets", targets, floating=True)
    _check.shape(op, "targets", targets, tuple(inputs.shape))
    _check.number(op, "alpha", alpha)
    if alpha > 1:
        raise _check.InputError(f"{op}: alpha must be at most 1, got {alpha}")
    _check.positive(op, "gamma", [gamma], zero=True)
    entropy = functional.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p = inputs.sigmoid()
    wrong = p + targets - 2 * p * targets  # 1 - p of the truth
    loss = entropy * wrong**gamma
    if alpha >= 0:
        loss = loss * (alpha * targets + (1 - alpha) * (1 - targets))
    return reduce(op, loss, reduction)
