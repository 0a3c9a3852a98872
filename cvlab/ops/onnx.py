"""Export to ONNX: how the operators that `torch.onnx` does not know are to be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def onnx_translations() -> dict[Any, Callable[..., Any]]:
    """Give the table that lets `torch.onnx.export` write `nms` and `batched_nms` as ONNX's NonMaxSuppression.

    Returns:
        A dictionary for the argument `custom_translation_table`. Needs the package onnxscript.

    Notes:
        ONNX gives the result in the order of the scores, as `nms` does; the order of equal scores is the runtime's.

    Example:
        >>> program = torch.onnx.export(  # doctest: +SKIP
        ...     model, inputs, dynamo=True, custom_translation_table=onnx_translations()
        ... )
    """
    from onnxscript import opset18

    op: Any = opset18

    def write_nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
        boxes = op.Unsqueeze(op.Cast(boxes, to=1), op.Constant(value_ints=[0]))  # (1, N, 4)
        scores = op.Unsqueeze(op.Cast(scores, to=1), op.Constant(value_ints=[0, 1]))  # (1, 1, N)
        limit = op.Constant(value_ints=[2**62])  # on how many are kept: none
        chosen = op.NonMaxSuppression(boxes, scores, limit, op.Constant(value_floats=[iou_threshold]))
        return op.Gather(op.Transpose(chosen, perm=[1, 0]), op.Constant(value_int=2))  # of batch, class, index

    return {torch.ops.cvlab.nms.default: write_nms}
