"""Ready recipes and what cameras do: sizes, types, and nothing at random without training."""

import pytest
import torch

from cvlab import _check
from cvlab.augment import degrade, for_classification, for_detection, for_segmentation, seeded
from cvlab.data import StillLife

SCENES = StillLife((60, 90), "test", length=10)
RECIPES = {"detection": for_detection, "segmentation": for_segmentation}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", RECIPES)
def test_recipes_keep_types_and_give_the_size(name, train, dtype):
    recipe = RECIPES[name]((48, 64), train=train)
    data = StillLife((60, 90), "test", length=4, dtype=dtype)
    for i in range(4):
        image, target = recipe(*data[i])
        assert image.shape == (3, 48, 64)
        assert image.dtype == dtype
        assert target["masks"].shape[1:] == (48, 64)
        if not train:
            assert len(target["boxes"]) == len(data[i][1]["boxes"])


@pytest.mark.parametrize("make", [for_classification, for_detection, for_segmentation])
def test_only_training_is_random(make):
    image, target = SCENES[0]
    label = 3 if make is for_classification else target
    for train in (True, False):
        made = []
        for seed in (0, 1):
            with seeded(seed):
                made.append(make(32, train=train)(image, label)[0])
        assert torch.equal(*made) != train


def test_labels_pass_through_classification():
    for policy in (None, "randaugment", "trivialaugment"):
        image = torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8)
        made, label = for_classification(32, policy=policy)(image, 4)
        assert made.shape == (3, 32, 32)
        assert made.dtype == torch.uint8
        assert label == 4
        assert for_classification(32, policy=policy)(image).shape == (3, 32, 32)


def test_strength_nought_changes_nothing_but_the_size():
    image = torch.rand(3, 32, 32)
    for make in (for_detection, for_segmentation):
        made, _ = make(32, strength=0)(image, {})
        torch.testing.assert_close(made.as_subclass(torch.Tensor), image)
    torch.testing.assert_close(for_classification(32, strength=0)(image).as_subclass(torch.Tensor), image)


def test_elastic_bends_half_of_the_pictures():
    with seeded(1):
        made = [for_segmentation(32, strength=0.01, elastic=True)(torch.rand(3, 32, 32), {})[0] for _ in range(3)]
    assert all(m.shape == (3, 32, 32) for m in made)


def test_degrade_blurs_adds_noise_and_compresses():
    flat = torch.full((3, 32, 32), 0.5)
    edges = (torch.arange(32) // 8 % 2).float().expand(3, 32, 32)
    with seeded(0):
        made = degrade(noise=0.05, blur=0.1, jpeg=(95, 95), p=1.0)(flat)
        assert 0.01 < made.std() < 0.08
        soft = degrade(noise=0.0, blur=3.0, jpeg=(100, 100), p=1.0)(edges)
        assert soft.diff(dim=-1).abs().max() < 1
    for dtype in (torch.uint8, torch.float32):
        assert degrade(p=1.0)((flat * 255).to(dtype) if dtype == torch.uint8 else flat).dtype == dtype
    assert torch.equal(degrade(p=0.0)(edges), edges)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: for_detection(0), r"for_detection: size\[0\]"),
        (lambda: for_detection(32, strength=-1), r"strength\[0\]"),
        (lambda: for_classification(32, policy="autoaugment"), "policy must be one of randaugment, trivialaugment"),
        (lambda: degrade(jpeg=(90, 30)), r"quality must be \(lowest, highest\)"),
        (lambda: degrade(noise=-1), r"noise\[0\]"),
        (lambda: degrade(blur=0), r"blur\[0\]"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(_check.InputError, match=message):
        call()
