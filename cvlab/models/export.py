"""Export: a detector or a painter as a program that runs without Python, as `torch.export` and ONNX write it.

A detector's program takes pictures of the network's size. Who runs it brings them there and carries the boxes back, as
`letterbox` (or `stretch`) plans it; the Python model does both itself.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from cvlab import _check
from cvlab.models.fast_style import FastStyleNet
from cvlab.models.ssd import SSD
from cvlab.ops import batched_nms, clip_boxes_to_image, decode_boxes, onnx_translations


class AllAnchors(nn.Module):
    """Says of every anchor how likely each class is, and which box: all that comes before the suppression.

    Args:
        model: the detector.

    Returns:
        Called with images (B, 3, height, width), float in [0, 1], of the model's size, `scores` (B, A, K - 1) of the
        classes without the background, and `boxes` (B, A, 4), xyxy in pixels of the input, clipped to it.
    """

    def __init__(self, model: SSD) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute scores and boxes."""
        logits, offsets = self.model.network(images)
        boxes = decode_boxes(offsets.float(), self.model.anchors)
        return self.model.loss.scores(logits.float()), clip_boxes_to_image(boxes, self.model.size)


class BestDetections(nn.Module):
    """Detects objects in one image: what the model itself gives for an image of its own size.

    Args:
        model: the detector.

    Returns:
        Called with images (1, 3, height, width), float in [0, 1], of the model's size, `boxes` (N, 4), xyxy in pixels
        of the input, `scores` (N,) and `labels` (N,), best first.
    """

    def __init__(self, model: SSD) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute boxes, scores and labels."""
        _, label, scores, boxes = self.model.candidates(*self.model.network(images))
        kept = batched_nms(boxes, scores, label, self.model.nms_thresh)[: self.model.detections_per_img]
        boxes, scores, label = boxes[kept], scores[kept], label[kept]
        whole = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)  # nothing is left of a box outside the image
        return boxes[whole], scores[whole], label[whole]


def export_program(model: SSD, *, nms: bool) -> torch.export.ExportedProgram:
    """Turn a detector into a program of `torch.export`.

    Args:
        model: the detector, in evaluation mode.
        nms: whether the program suppresses; see `AllAnchors` (without) and `BestDetections` (with) for what goes in and
            out. Without, the number of images may be any.

    Returns:
        The program; `.module()` of it can be called, `torch.export.save` writes it.

    Raises:
        InputError: if the model is in training mode.

    Notes:
        With suppression the program holds the operator `cvlab::batched_nms`, so that whoever runs it imports
        `cvlab.ops`.

    Example:
        >>> from cvlab.models import ssd_small
        >>> program = export_program(ssd_small().eval(), nms=False).module()
        >>> [tuple(out.shape) for out in program(torch.zeros(5, 3, 128, 128))]
        [(5, 1344, 10), (5, 1344, 4)]
    """
    module, images, shapes = _prepare("export_program", model, nms)
    return torch.export.export(module, (images,), dynamic_shapes=shapes, strict=False)


def export_onnx(model: SSD, path: str | Path, *, nms: bool) -> Path:
    """Write a detector as an ONNX file, which many runtimes on many devices read.

    Args:
        model: the detector, in evaluation mode.
        path: the file, whose name should end in ".onnx"; it holds the weights too.
        nms: whether the suppression is part of it: it then takes `images` (1, 3, height, width) and gives `boxes`,
            `scores` and `labels` of N detections. Without, `images` (B, 3, height, width) with any B go in, and
            `scores` (B, A, K - 1) and `boxes` (B, A, 4) of all anchors come out.

    Returns:
        The path.

    Raises:
        InputError: if the model is in training mode.
        ImportError: if onnx or onnxscript is missing.

    Notes:
        The suppression is ONNX's own operator; see `cvlab.ops.onnx_translations` for what it does with equal scores.
    """
    _needs_onnx("export_onnx")
    module, images, shapes = _prepare("export_onnx", model, nms)
    path = Path(path)
    torch.onnx.export(
        module,
        (images,),
        path,
        dynamo=True,
        custom_translation_table=onnx_translations(),
        dynamic_shapes=shapes,
        input_names=["images"],
        output_names=["boxes", "scores", "labels"] if nms else ["scores", "boxes"],
        external_data=False,
        verbose=False,
    )
    return path


def export_fast_style(model: FastStyleNet, path: str | Path) -> Path:
    """Write a network of style transfer as an ONNX file.

    Args:
        model: the network, in evaluation mode.
        path: the file, whose name should end in ".onnx"; it holds the weights too. What it describes takes `images`
            (B, 3, H, W), float in [0, 1], and gives as many `painted` ones; B, H and W may be any, H and W at least 16.

    Returns:
        The path.

    Raises:
        InputError: if the model is in training mode.
        ImportError: if onnx or onnxscript is missing.
    """
    _needs_onnx("export_fast_style")
    if model.training:
        raise _check.InputError("export_fast_style: the model is in training mode, call model.eval() first")
    dynamic = torch.export.Dim.DYNAMIC
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, 50, 70),),
        path,
        dynamo=True,
        dynamic_shapes={"images": {0: dynamic, 2: dynamic, 3: dynamic}},
        input_names=["images"],
        output_names=["painted"],
        external_data=False,
        verbose=False,
    )
    return Path(path)


def _needs_onnx(op: str) -> None:
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise ImportError(f"{op}: needs the packages onnx and onnxscript, but there is no {package}")


def _prepare(op: str, model: SSD, nms: bool) -> tuple[nn.Module, Tensor, dict[str, dict[int, object]]]:
    """Give the module, an example of its input, and which of its dimensions may vary."""
    if model.training:
        raise _check.InputError(f"{op}: the model is in training mode, call model.eval() first")
    images = torch.zeros(1 if nms else 2, 3, *model.size, device=model.mean.device)
    if nms:
        return BestDetections(model).eval(), images, {"images": {}}
    return AllAnchors(model).eval(), images, {"images": {0: torch.export.Dim("batch")}}
