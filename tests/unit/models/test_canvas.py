"""One canvas for images of any sizes: by hand, and against torchvision's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from cvlab.models._canvas import clip_to_areas, make_canvas, plan_shorter_side

MEAN, STD = torch.tensor([0.5, 0.25, 0.0])[:, None, None], torch.tensor([0.5, 0.25, 1.0])[:, None, None]


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 900)), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_areas_lie_on_the_canvas_and_boxes_come_back(sizes):
    for plan in plan_shorter_side(sizes, 64, 100):
        assert plan.size[0] % 32 == plan.size[1] % 32 == 0
        assert plan.content[0] <= plan.size[0]
        assert plan.content[1] <= plan.size[1]
        assert max(plan.content) <= 100
        assert min(plan.content) <= 64
        height, width = plan.image_size
        whole = torch.tensor([[0.0, 0.0, width, height]])
        assert plan.boxes(whole)[0].tolist() == pytest.approx([0, 0, plan.content[1], plan.content[0]], rel=1e-5)
        torch.testing.assert_close(plan.undo_boxes(plan.boxes(whole)), whole)


def test_it_is_torchvisions():
    torch.manual_seed(0)
    images = [torch.rand(3, h, w) for h, w in ((50, 70), (64, 64), (90, 33), (40, 150))]
    theirs = GeneralizedRCNNTransform(64, 110, MEAN.flatten().tolist(), STD.flatten().tolist())
    expected, _ = theirs([image.clone() for image in images])
    canvas = make_canvas(images, (64, 64), 110, MEAN, STD, antialias=False)
    assert [plan.content for plan in canvas.plans] == [tuple(size) for size in expected.image_sizes]
    assert canvas.size == tuple(expected.tensors.shape[2:])
    torch.testing.assert_close(canvas.batch, expected.tensors, atol=1e-4, rtol=0)
    assert canvas.areas.tolist() == [[0, 0, w, h] for h, w in expected.image_sizes]


def test_bytes_and_floats_are_the_same_picture():
    pixels = (torch.rand(3, 32, 32) * 255).byte()
    one, other = (make_canvas([p], (32, 32), None, MEAN, STD, True).batch for p in (pixels, pixels / 255))
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(one, ((pixels / 255 - MEAN) / STD)[None])
    both = make_canvas([pixels, pixels / 255], (32, 32), None, MEAN, STD, True).batch
    torch.testing.assert_close(both[0], both[1])


def test_an_image_does_not_see_its_neighbours():
    """In letterboxes each image lies as it would alone."""
    images = [torch.rand(3, h, w) for h, w in ((20, 60), (60, 20), (8, 8))]
    together = make_canvas(images, (32, 48), None, MEAN, STD, True)
    for i, image in enumerate(images):
        alone = make_canvas([image], (32, 48), None, MEAN, STD, True)
        torch.testing.assert_close(together.batch[i], alone.batch[0])
        assert torch.equal(together.areas[i], alone.areas[0])


def test_clipping_by_hand():
    areas = torch.tensor([[0.0, 8.0, 32.0, 24.0], [4.0, 0.0, 20.0, 32.0]])
    boxes = torch.tensor([[[-5.0, 0.0, 40.0, 30.0]], [[25.0, 5.0, 30.0, 9.0]]])  # the second lies outside its picture
    assert clip_to_areas(boxes, areas[:, None])[:, 0].tolist() == [[0, 8, 32, 24], [20, 5, 20, 9]]
