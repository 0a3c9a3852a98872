"""Sampling and key points of regions against torchvision's."""

import pytest
import torch
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints, keypointrcnn_loss, keypoints_to_heatmap

from cvlab.models.roi_keypoints import decode_keypoints, keypoint_cells, keypoint_loss
from cvlab.ops import sample_balanced

BOXES = torch.tensor([[10.0, 20.0, 38.0, 76.0], [3.5, 4.25, 20.0, 19.0], [0.0, 0.0, 60.0, 60.0]])


@pytest.mark.parametrize("objects", [0, 3, 40])
@pytest.mark.parametrize("background", [0, 5, 200])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_as_many_are_drawn(objects, background, share):
    labels = torch.cat([torch.full((objects,), 2), torch.zeros(background).long(), torch.full((9,), -1)])
    (theirs_objects,), (theirs_background,) = BalancedPositiveNegativeSampler(25, share)([labels])
    found = sample_balanced(labels, 25, share)
    assert [len(part) for part in found] == [int(theirs_objects.sum()), int(theirs_background.sum())]


def _points():
    g = torch.Generator().manual_seed(0)
    points = torch.rand(3, 40, 2, generator=g) * 70  # inside the boxes and outside
    return points, torch.rand(3, 40, generator=g) > 0.3


def test_cells_are_the_same():
    points, visible = _points()
    theirs, valid = keypoints_to_heatmap(torch.cat((points, visible[..., None]), 2), BOXES, 28)
    assert valid.sum(1).min() >= 2
    assert valid.float().mean() < 0.5
    assert torch.equal(keypoint_cells(points, visible, BOXES, 28), torch.where(valid.bool(), theirs, -1))


def test_the_loss_is_the_same():
    points, visible = _points()
    logits = torch.randn(3, 40, 28, 28, generator=torch.Generator().manual_seed(1))
    joined = torch.cat((points, visible[..., None]), 2)
    expected = keypointrcnn_loss(logits, [BOXES], [joined], [torch.arange(3)])
    torch.testing.assert_close(keypoint_loss(logits, keypoint_cells(points, visible, BOXES, 28)), expected)


def test_points_agree_to_half_a_cell():
    """torchvision enlarges the map to the box's pixels and takes the largest; here a quarter of a cell is enough."""
    g = torch.Generator().manual_seed(2)
    true = torch.rand(3, 5, 2, generator=g) * 20 + 4  # cells, away from the edges
    row, column = torch.meshgrid(torch.arange(28) + 0.5, torch.arange(28) + 0.5, indexing="ij")
    far = (column - true[..., 0, None, None]) ** 2 + (row - true[..., 1, None, None]) ** 2
    found, score = decode_keypoints(-far / 4, BOXES)
    theirs = heatmaps_to_keypoints(-far / 4, BOXES)[0][..., :2]
    cell = (BOXES[:, None, 2:] - BOXES[:, None, :2]) / 28
    assert ((found - (BOXES[:, None, :2] + true * cell)).abs() <= 0.26 * cell).all()  # half a cell without the quarter
    assert ((found - theirs).abs() <= 0.5 * cell + 0.5).all()  # and half of their pixels
    assert ((score > 0) & (score < 1)).all()
