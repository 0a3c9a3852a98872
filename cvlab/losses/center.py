"""The loss of a heat map whose peaks are the objects' centres."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import _check
from cvlab.losses._reduce import reduce


def penalty_reduced_focal_loss(
    logits: Tensor, heatmap: Tensor, alpha: float = 2.0, beta: float = 4.0, reduction: str = "none"
) -> Tensor:
    """Compute a focal loss that forgives cells near a centre for being taken for it.

    With p the predicted and y the true value, a cell with y = 1 costs -(1 - p)^alpha log p. Every other cell costs
    -(1 - y)^beta p^alpha log(1 - p): the nearer it lies to a centre, the less.

    Args:
        logits: (...) float; p is their sigmoid.
        heatmap: (...) float of the same shape, in [0, 1]; exactly 1 at the centres.
        alpha: How far cells that are right already are turned down.
        beta: How far cells near a centre are forgiven; 0 for not at all.
        reduction: "none", "sum" or "mean". A detector divides the sum by its number of objects.

    Returns:
        (...) float, or one number.

    Raises:
        InputError: The shapes differ, a value of `heatmap` lies outside [0, 1], alpha or beta is negative, or the
            reduction is unknown.

    Notes:
        With a heat map of zeros and ones it is `sigmoid_focal_loss` with gamma = alpha there and no weights.

    Example:
        >>> heatmap = torch.tensor([1.0, 0.5, 0.0])  # a centre, a cell beside it, a cell far away
        >>> penalty_reduced_focal_loss(torch.zeros(3), heatmap)  # 0.25 log 2, a 16th of it, 0.25 log 2
        tensor([0.1733, 0.0108, 0.1733])

    References:
        Law, Deng (2018). CornerNet. Equation 1. Zhou, Wang, Krähenbühl (2019). Objects as points. Equation 1.
    """
    op = "penalty_reduced_focal_loss"
    _check.numeric(op, "logits", logits, floating=True)
    _check.numeric(op, "heatmap", heatmap, floating=True)
    _check.shape(op, "heatmap", heatmap, tuple(logits.shape))
    _check.fractions(op, "heatmap", heatmap)
    _check.positive(op, "(alpha, beta)", [alpha, beta], zero=True)
    p = logits.sigmoid()
    at_centre = -((1 - p) ** alpha) * functional.logsigmoid(logits)
    elsewhere = -((1 - heatmap).clamp(min=0) ** beta) * p**alpha * functional.logsigmoid(-logits)
    return reduce(op, torch.where(heatmap >= 1, at_centre, elsewhere), reduction)
