"""Selective search against OpenCV's: at no number of proposals may it reach fewer objects."""

import numpy as np
import pytest
import torch

from cvlab.data import StillLife
from cvlab.metrics import proposal_recall
from cvlab.proposals import selective_search


def test_recall_is_not_below_opencvs():
    cv2 = pytest.importorskip("cv2")
    if not hasattr(getattr(cv2, "ximgproc", None), "segmentation"):
        pytest.skip("OpenCV's contrib modules are not installed")
    items = [StillLife(size=128, split="val")[i] for i in range(40)]
    ours, theirs = [], []
    for image, _ in items:
        image = image.as_subclass(torch.Tensor)
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray((image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)[..., ::-1]))
        search.switchToSelectiveSearchFast()
        boxes = torch.from_numpy(np.asarray(search.process())).float()  # x, y, width, height
        theirs.append(torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1))
        ours.append(selective_search(image))
    objects = [target["boxes"].as_subclass(torch.Tensor) for _, target in items]
    counts = (10, 20, 50, 100, 200, 500, 2000)
    mine, other = (proposal_recall(each, objects, counts) for each in (ours, theirs))
    assert all(mine[k] >= other[k] - 0.02 for k in counts), (mine, other)
