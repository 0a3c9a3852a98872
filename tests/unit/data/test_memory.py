"""A data set kept in memory gives the items of the one it was made from."""

import pytest
import torch
from torch.utils.data import DataLoader

from cvlab._check import InputError
from cvlab.data import StillLife, collate
from cvlab.data.memory import InMemory

SCENES = StillLife(48, "test", length=4, dtype=torch.uint8)


class Counted:
    """Counts how often items are asked for."""

    def __init__(self, *images):
        self.images, self.asked = images, 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.asked += 1
        return self.images[index], {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "name": f"n{index}"}


def test_the_same_items():
    kept = InMemory(SCENES)
    assert len(kept) == 4
    for i in range(4):
        (image, target), (own, expected) = kept[i], SCENES[i]
        assert torch.equal(image, own.as_subclass(torch.Tensor))
        assert sorted(target) == ["boxes", "labels"]
        for name, value in target.items():
            assert type(value) is torch.Tensor
            assert torch.equal(value, expected[name].as_subclass(torch.Tensor))
    assert torch.equal(kept[-1][0], kept[3][0])


def test_each_item_is_made_once():
    made = Counted(*torch.zeros(3, 3, 4, 4))
    kept = InMemory(made)
    for _ in range(5):
        assert len(list(kept)) == 3
    assert made.asked == 3


def test_floats_are_rounded_to_whole_levels():
    # 0.5 * 255 = 127.5 is rounded to the even number, 128
    image = torch.tensor([0.0, 1.0, 0.5, 100.2 / 255]).reshape(1, 1, 4).expand(3, 1, 4)
    kept, _ = InMemory(Counted(image))[0]
    assert kept.dtype == torch.uint8
    assert kept[0, 0].tolist() == [0, 255, 128, 100]


def test_other_keys():
    kept = InMemory(Counted(torch.zeros(3, 4, 4)), keys=("name",))
    assert kept[0][1] == {"name": "n0"}
    assert sorted(InMemory(SCENES, ("boxes", "masks"))[0][1]) == ["boxes", "masks"]


def test_a_target_that_is_changed_is_whole_the_next_time():
    kept = InMemory(SCENES)
    del kept[0][1]["boxes"]
    kept[0][1]["labels"] = None
    assert sorted(kept[0][1]) == ["boxes", "labels"]
    assert torch.equal(kept[0][1]["labels"], SCENES[0][1]["labels"])


def test_in_a_loader():
    images, targets = next(iter(DataLoader(InMemory(SCENES), batch_size=4, collate_fn=collate)))
    assert len(images) == len(targets) == 4


def test_nothing_to_keep():
    assert list(InMemory(Counted())) == []


def test_a_key_that_no_target_has():
    with pytest.raises(KeyError, match="masks"):
        InMemory(Counted(torch.zeros(3, 4, 4)), ("masks",))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.full((3, 2, 2), 200.0), "image[0, 0, 0] must lie in [0, 1], got 200"),
        (torch.zeros(3, 2, 2).long(), "image must be floating point, got torch.int64"),
        (torch.full((3, 2, 2), torch.nan), "image[0, 0, 0] is not finite: nan"),
    ],
)
def test_images_in_another_range(image, message):
    with pytest.raises(InputError) as caught:
        InMemory(Counted(torch.zeros(3, 2, 2), image))
    assert str(caught.value) == f"InMemory: item 1: {message}"
