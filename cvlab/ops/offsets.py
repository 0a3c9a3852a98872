"""Offsets: a box told from its anchor, as a network predicts it, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops.boxes import upcast


def four_weights(
    op: str, weights: Sequence[float] | None, variances: Sequence[float] | None
) -> tuple[float, float, float, float]:
    """Give the four weights, whichever of the two was given."""
    if weights is not None and variances is not None:
        raise _check.InputError(f"{op}: give weights or variances, not both")
    name, values = ("weights", weights) if variances is None else ("variances", variances)
    values = (10.0, 10.0, 5.0, 5.0) if values is None else values
    _check.positive(op, name, values, "x, y, width, height")
    x, y, w, h = values
    return (x, y, w, h) if variances is None else (1 / x, 1 / y, 1 / w, 1 / h)


def _centre_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size


def encode_boxes(
    boxes: Tensor,
    anchors: Tensor,
    weights: Sequence[float] | None = None,
    variances: Sequence[float] | None = None,
) -> Tensor:
    """Express boxes as offsets from anchors.

    The centre's offset is measured in the anchor's width and height, the size as the logarithm of the quotient; then
    each of the four is multiplied by its weight.

    Args:
        boxes: (..., 4) float, xyxy, pixels.
        anchors: (..., 4) float, xyxy, pixels; shapes broadcast.
        weights: For x, y, width and height; (10, 10, 5, 5) where neither these nor `variances` are given.
        variances: The weights' inverses, as SSD has them: (0.1, 0.1, 0.2, 0.2).

    Returns:
        (..., 4) float offsets dx, dy, dw, dh.

    Raises:
        InputError: A box or anchor is not finite or has a side of zero or less; weights and variances are both given;
            the shapes do not broadcast.

    Notes:
        torchvision's `BoxCoder.encode`. d2l's `offset_boxes` adds 1e-6 within the logarithm.

    Example:
        >>> encode_boxes(torch.tensor([[0.0, 0.0, 20.0, 10.0]]), torch.tensor([[0.0, 0.0, 10.0, 10.0]]))
        tensor([[5.0000, 0.0000, 3.4657, 0.0000]])

    References:
        Girshick et al. (2014). R-CNN. Appendix C, equations 6 to 9.
    """
    w = four_weights("encode_boxes", weights, variances)
    for name, value in (("boxes", boxes), ("anchors", anchors)):
        _check.numeric("encode_boxes", name, value, floating=True)
        _check.boxes("encode_boxes", name, value, strict=True)
    _check.broadcast("encode_boxes", "boxes", boxes, "anchors", anchors)
    return encode_unchecked(boxes, anchors, w).to(torch.promote_types(boxes.dtype, anchors.dtype))


def encode_unchecked(boxes: Tensor, anchors: Tensor, weights: tuple[float, float, float, float]) -> Tensor:
    """Do `encode_boxes` for values already checked, in float32 at least."""
    boxes, anchors = upcast(boxes), upcast(anchors)
    (centre, size), (anchor_centre, anchor_size) = _centre_size(boxes), _centre_size(anchors)
    offsets = torch.cat(((centre - anchor_centre) / anchor_size, torch.log(size / anchor_size)), dim=-1)
    return offsets * torch.tensor(weights, dtype=offsets.dtype, device=offsets.device)


def decode_boxes(
    deltas: Tensor,
    anchors: Tensor,
    weights: Sequence[float] | None = None,
    variances: Sequence[float] | None = None,
    max_log_size: float | None = math.log(1000 / 16),
) -> Tensor:
    """Turn offsets from anchors back into boxes: the inverse of `encode_boxes`.

    Args:
        deltas: (..., 4) float, dx, dy, dw, dh.
        anchors: (..., 4) float, xyxy, pixels; shapes broadcast.
        weights: As in `encode_boxes`.
        variances: As in `encode_boxes`.
        max_log_size: Upper limit of dw and dh, divided by their weights, so that exp cannot overflow; None for none.

    Returns:
        (..., 4) xyxy, pixels, in the dtype of `deltas`; computed in float32 at least.

    Raises:
        InputError: A delta is not finite; an anchor is not finite or has a side of zero or less; weights and variances
            are both given; the limit is not a finite number; the shapes do not broadcast.

    Notes:
        torchvision's `BoxCoder.decode`, whose limit is the default here; d2l's `offset_inverse` has none.

    Example:
        >>> decode_boxes(torch.tensor([[5.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 10.0, 10.0]]))
        tensor([[ 5.,  0., 15., 10.]])
    """
    w = four_weights("decode_boxes", weights, variances)
    _check.numeric("decode_boxes", "deltas", deltas, floating=True)
    _check.shape("decode_boxes", "deltas", deltas, ("...", 4))
    _check.finite("decode_boxes", "deltas", deltas)
    _check.numeric("decode_boxes", "anchors", anchors, floating=True)
    _check.boxes("decode_boxes", "anchors", anchors, strict=True)
    _check.broadcast("decode_boxes", "deltas", deltas, "anchors", anchors)
    if max_log_size is not None:
        _check.number("decode_boxes", "max_log_size", max_log_size)
    wide = upcast(deltas)
    wide = wide / torch.tensor(w, dtype=wide.dtype, device=wide.device)
    anchor_centre, anchor_size = _centre_size(upcast(anchors))
    centre = anchor_centre + wide[..., :2] * anchor_size
    log_size = wide[..., 2:] if max_log_size is None else wide[..., 2:].clamp(max=max_log_size)
    half = 0.5 * torch.exp(log_size) * anchor_size
    return torch.cat((centre - half, centre + half), dim=-1).to(deltas.dtype)
