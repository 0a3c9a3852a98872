"""Test-time augmentation: predict on several views of a picture, bring the answers back, and merge them.

References:
    Solovyev, R., Wang, W. and Gabruseva, T. (2021). Weighted boxes fusion. Image and Vision Computing 107.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cvlab import _check
from cvlab.augment import affine
from cvlab.augment.geometric import as_image
from cvlab.augment.warp import Warp
from cvlab.ops import batched_nms, box_iou, clip_boxes_to_image

Detections = dict[str, Tensor]
Detector = Callable[[list[Tensor]], list[Detections]]


def views(
    size: tuple[int, int], *, flips: Sequence[bool] = (False, True), scales: Sequence[float] = (1.0,)
) -> list[Warp]:
    """List the views of a picture: each size, as it is and mirrored.

    Args:
        size: (height, width) of the picture, pixels.
        flips: whether left and right are swapped.
        scales: factors of height and width, above 0; the new sides are rounded to whole pixels.

    Returns:
        len(flips) x len(scales) maps, which `predict_boxes` and `predict_masks` take.

    Raises:
        InputError: if a size or a scale is not above 0.

    Example:
        >>> [view.new for view in views((100, 200), scales=(1.0, 0.5))]
        [(100, 200), (100, 200), (50, 100), (50, 100)]
    """
    _check.positive("views", "size", size, of="height, width")
    _check.positive("views", "scales", scales)
    made = []
    for scale in scales:
        new = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        for flipped in flips:
            matrix = affine.crop_to((0, 0, size[1], size[0]), new)
            made.append(Warp(affine.horizontal_flip(new[1]) @ matrix if flipped else matrix, size, new))
    return made


def predict_boxes(
    model: Detector,
    image: Tensor,
    chosen: Sequence[Warp],
    *,
    merge: str = "fusion",
    iou_threshold: float = 0.55,
) -> Detections:
    """Detect on several views, bring the boxes back to the picture, and merge them.

    Args:
        model: takes a list of images (C, H, W), gives a list of dictionaries with `boxes` (N, 4), `scores` (N,),
            `labels` (N,) and perhaps `masks` (N, H, W) or (N, 1, H, W) of probabilities, as torchvision's detectors do.
        image: (C, H, W).
        chosen: views of this picture, as `views` makes them.
        merge: "fusion", the weighted mean of boxes that overlap, or "nms", the best box of each heap.
        iou_threshold: boxes of one label that overlap by more are taken for one object.

    Returns:
        `boxes` (M, 4), clipped to the picture, `scores` (M,), `labels` (M,), best first, and `masks` (M, H, W) of
        probabilities where the model gives masks.

    Raises:
        InputError: if the views are of another size than the image, there is none, or an argument is out of range.
    """
    _check.choice("predict_boxes", "merge", merge, ("fusion", "nms"))
    _check.fraction("predict_boxes", "iou_threshold", iou_threshold)
    found = [_back(model([view.image(image)])[0], view) for view in _fitting(image, chosen, "predict_boxes")]
    every = {name: torch.cat([one[name] for one in found]) for name in found[0]}
    if merge == "nms":
        kept = batched_nms(every["boxes"], every["scores"], every["labels"], iou_threshold)
        return {name: value[kept] for name, value in every.items()}
    heaps = heap_up(every["boxes"], every["scores"], every["labels"], iou_threshold)
    return fuse(every, heaps, len(chosen))


def predict_masks(model: Callable[[Tensor], Tensor], image: Tensor, chosen: Sequence[Warp]) -> Tensor:
    """Segment several views, bring the probabilities back to the picture, and average them.

    Args:
        model: takes images (1, C, H, W), gives probabilities (1, K, H, W) of K classes.
        image: (C, H, W).
        chosen: views of this picture, as `views` makes them.

    Returns:
        (K, H, W) probabilities.

    Raises:
        InputError: if the views are of another size than the image, there is none, or the model's output has another
            shape.

    Notes:
        Average probabilities, not label maps: a vote of label maps forgets how sure each view was.
    """
    total = 0
    for view in _fitting(image, chosen, "predict_masks"):
        given = model(view.image(image)[None])
        _check.shape("predict_masks", "the model's output", given, (1, "K", *view.new))
        total = total + inverse(view).image(given[0], fill=0.0)
    return total / len(chosen)


def inverse(view: Warp) -> Warp:
    """Give the map back: what `view` moved, this brings home.

    Raises:
        InputError: if the view bends; only matrices are inverted here.
    """
    if view.field is not None:
        raise _check.InputError("inverse: the view must have no field of displacements")
    return Warp(torch.linalg.inv(view.matrix), view.new, view.old)


def _fitting(image: Tensor, chosen: Sequence[Warp], op: str) -> Sequence[Warp]:
    size = tuple(as_image(image, op).shape[1:])
    if len(chosen) == 0:
        raise _check.InputError(f"{op}: there must be one view or more, got none")
    for i, view in enumerate(chosen):
        if view.old != size:
            raise _check.InputError(f"{op}: view {i} is of a picture of {view.old}, the image has size {size}")
    return chosen


def _back(given: Detections, view: Warp) -> Detections:
    """Bring one view's detections home."""
    home = inverse(view)
    found = {name: given[name] for name in ("scores", "labels")}
    found["boxes"] = clip_boxes_to_image(home.boxes(given["boxes"]), home.new)
    if "masks" in given:
        masks = given["masks"].reshape(-1, *view.new).float()  # (N, H', W')
        found["masks"] = home.image(masks, fill=0.0) if len(masks) else masks.new_zeros(0, *home.new)
    return found


def heap_up(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Gather boxes into heaps, one for each object: in order of score, each joins the heap it fits best, or begins one.

    Args:
        boxes: (N, 4) xyxy pixels.
        scores: (N,).
        labels: (N,); heaps hold one label only.
        iou_threshold: a box joins a heap if its IoU with the heap's mean box is above this.

    Returns:
        (N,) int64, the heap of each box, from 0.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0], [1.0, 0.0, 11.0, 10.0]])
        >>> heap_up(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([1, 1, 1]), 0.5).tolist()
        [0, 1, 0]
    """
    heap = torch.zeros(len(boxes), dtype=torch.int64)
    sums, weights, kinds = torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=labels.dtype)
    for i in scores.argsort(descending=True, stable=True).tolist():
        weight = scores[i].float().clamp(min=1e-6)
        overlap = torch.where(kinds == labels[i], box_iou(boxes[i].float()[None], sums / weights[:, None])[0], -1.0)
        best = int(overlap.argmax()) if len(overlap) else -1
        if best < 0 or overlap[best] <= iou_threshold:
            best = len(sums)
            sums, weights = torch.cat([sums, torch.zeros(1, 4)]), torch.cat([weights, torch.zeros(1)])
            kinds = torch.cat([kinds, labels[i][None]])
        sums[best] += weight * boxes[i].float()
        weights[best] += weight
        heap[i] = best
    return heap


def fuse(every: Detections, heaps: Tensor, number_of_views: int) -> Detections:
    """Make one detection of each heap: boxes and masks are means weighted by score.

    Args:
        every: `boxes`, `scores`, `labels` and perhaps `masks` of all views.
        heaps: as `heap_up` gives them.
        number_of_views: an object that only some of the views have seen loses score in proportion.

    Returns:
        A dictionary with the same entries, one row for each heap, best first.
    """
    count = int(heaps.max()) + 1 if len(heaps) else 0
    member = torch.zeros(count, len(heaps)).index_put_((heaps, torch.arange(len(heaps))), torch.ones(()))
    weight = member * every["scores"].float().clamp(min=1e-6)  # (M, N)
    share = weight / weight.sum(1, keepdim=True)
    size = member.sum(1)
    scores = (member @ every["scores"].float()) / size * size.clamp(max=number_of_views) / number_of_views
    order = scores.argsort(descending=True, stable=True)
    found = {"boxes": share @ every["boxes"].float(), "scores": scores}
    found["labels"] = every["labels"][member.argmax(1)] if count else every["labels"]
    if "masks" in every:
        found["masks"] = torch.einsum("mn,nhw->mhw", share, every["masks"])
    return {name: value[order] for name, value in found.items()}
