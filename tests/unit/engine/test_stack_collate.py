"""Batches of segmentation networks."""

import pytest
import torch
from torchvision import tv_tensors

from cvlab.engine import stack_collate


def test_stacks_images_and_each_tensor_of_the_targets():
    items = [
        (
            tv_tensors.Image(torch.full((3, 2, 4), i)),
            {"semantic": tv_tensors.Mask(torch.full((2, 4), i)), "name": str(i)},
        )
        for i in range(3)
    ]
    images, targets = stack_collate(items)
    assert type(images) is torch.Tensor
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert targets["semantic"].shape == (3, 2, 4)
    assert type(targets["semantic"]) is torch.Tensor
    assert targets["name"] == ["0", "1", "2"]


def test_images_of_two_sizes():
    with pytest.raises(RuntimeError, match="equal size"):
        stack_collate([(torch.zeros(3, 2, 2), {}), (torch.zeros(3, 2, 3), {})])
