"""Export to ONNX: how the operators that `torch.onnx` does not know are to be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cvlab.ops.nms import at_most


def onnx_translations() -> dict[Any, Callable[..., Any]]:
    """Give the table that lets `torch.onnx.export` write `nms` and `batched_nms` as ONNX's NonMaxSuppression.

    Returns:
        A dictionary for the argument `custom_translation_table`. Needs the package onnxscript.

    Notes:
        ONNX is told ranks instead of scores, so that order and ties are those of `nms`. Its NonMaxSuppression knows
        only float32: float64 boxes and the threshold are rounded to that, so the result can differ where an IoU all but
        equals the threshold. For `batched_nms` it gets a score for every pair of class and box; classes may be any
        integers, but the matrix takes memory. There may be at most 2^24 boxes. Bad values are not refused in ONNX.

    Example:
        >>> program = torch.onnx.export(  # doctest: +SKIP
        ...     model, inputs, dynamo=True, custom_translation_table=onnx_translations()
        ... )
    """
    from onnxscript import opset18

    op: Any = opset18
    long, single, double = 7, 1, 11  # ONNX's numbers for types

    def ints(*values: int) -> Any:
        return op.Constant(value_ints=list(values))

    def write(boxes: Any, scores: Any, idxs: Any | None, iou_threshold: float) -> Any:
        # The best box first: among equals TopK gives the lower index. In float64 no two scores fall together.
        count = op.Shape(scores)
        _, order = op.TopK(op.Cast(scores, to=double), count, axis=0)  # (N,)
        boxes = op.Unsqueeze(op.Cast(op.Gather(boxes, order), to=single), ints(0))  # (1, N, 4)
        number = op.Squeeze(count, ints(0))
        end, step = op.Constant(value_int=0), op.Constant(value_int=-1)
        points = op.Cast(op.Range(number, end, step), to=single)  # (N,): N, N - 1, ..., 1
        if idxs is None:
            points = op.Unsqueeze(points, ints(0))  # (1, N): one class
        else:
            own = op.Gather(op.Cast(idxs, to=long), order)
            classes, _, _, _ = op.Unique(own)
            member = op.Equal(op.Unsqueeze(classes, ints(1)), op.Unsqueeze(own, ints(0)))  # (C, N)
            points = op.Mul(op.Cast(member, to=single), points)  # nothing for the boxes of other classes
        threshold = op.Constant(value_floats=[at_most(iou_threshold, torch.float32)])
        least = op.Constant(value_floats=[0.5])
        chosen = op.NonMaxSuppression(boxes, op.Unsqueeze(points, ints(0)), ints(2**62), threshold, least)
        ranks = op.Gather(chosen, op.Constant(value_int=2), axis=1)  # of batch, class, index; class by class
        sorted_ranks, _ = op.TopK(ranks, op.Shape(ranks), axis=0, largest=0)
        return op.Gather(order, sorted_ranks)

    def write_nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
        return write(boxes, scores, None, iou_threshold)

    return {torch.ops.cvlab.nms.default: write_nms, torch.ops.cvlab.batched_nms.default: write}
