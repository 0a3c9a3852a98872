"""Label maps: colours by VOC's own numbers, masks by hand, sizes by torch, faults by their messages."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional
from torchvision import tv_tensors

from cvlab._check import InputError
from cvlab.data import (
    StillLife,
    colors_from_labels,
    instances_from_masks,
    labels_from_colors,
    masks_from_instances,
    read_image,
    read_mask,
    resize_labels,
    voc_palette,
)
from cvlab.data.label_maps import plain_labels

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"


def test_the_palette_is_vocs():
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),  # aeroplane
        2: (0, 128, 0),  # bicycle
        3: (128, 128, 0),  # bird
        8: (64, 0, 0),  # cat
        12: (64, 0, 128),  # dog
        15: (192, 128, 128),  # person
        20: (0, 64, 128),  # tv/monitor
        255: (224, 224, 192),  # the rim
    }
    palette = voc_palette(256)
    assert {k: tuple(palette[k].tolist()) for k in known} == known
    assert len(palette.unique(dim=0)) == 256
    assert palette.dtype == torch.uint8
    assert torch.equal(voc_palette(), palette[:21])


def test_the_palette_is_that_of_a_file(tmp_path):
    """A label map saved with the palette reads as labels in one mode, as colours in the other."""
    labels = torch.tensor([[0, 15, 255], [20, 1, 8]])
    image = Image.fromarray(labels.numpy().astype(np.uint8), "P")
    image.putpalette(voc_palette(256).flatten().tolist())
    image.save(tmp_path / "voc.png")
    assert torch.equal(read_mask(tmp_path / "voc.png"), labels)
    colors = read_image(tmp_path / "voc.png", torch.uint8)
    assert torch.equal(labels_from_colors(colors, voc_palette()), labels.to(torch.uint8))
    assert torch.equal(colors_from_labels(labels, voc_palette()), colors)


@given(st.integers(1, 255), st.integers(0, 2**31), st.booleans())
def test_labels_to_colours_and_back(count, seed, with_ignored):
    g = torch.Generator().manual_seed(seed)
    palette = voc_palette(256)[torch.randperm(255, generator=g)[:count]]
    labels = torch.randint(count, (5, 7), generator=g).to(torch.uint8)
    if with_ignored:
        labels[torch.rand(5, 7, generator=g) < 0.3] = 255
    colors = colors_from_labels(labels, palette)
    assert (colors.shape, colors.dtype) == ((3, 5, 7), torch.uint8)
    back = labels_from_colors(colors, palette)
    assert torch.equal(back, labels)
    assert back.dtype == torch.uint8


def test_all_256_labels_are_classes_where_none_is_ignored():
    labels = torch.arange(256).reshape(16, 16)
    colors = colors_from_labels(labels, voc_palette(256), None)
    assert torch.equal(colors[:, 15, 15], torch.tensor([224, 224, 192], dtype=torch.uint8))
    assert torch.equal(labels_from_colors(colors, voc_palette(256), None), labels.to(torch.uint8))


def test_palettes_of_lists_and_other_colours_to_ignore():
    palette = [(0, 0, 0), [1, 2, 3]]
    picture = torch.tensor([[[1, 9, 0]], [[2, 9, 0]], [[3, 9, 0]]], dtype=torch.uint8)
    assert labels_from_colors(picture, palette, (9, 9, 9)).tolist() == [[1, 255, 0]]
    assert torch.equal(colors_from_labels(torch.tensor([[1, 255, 0]]), palette, (9, 9, 9)), picture)
    assert labels_from_colors(torch.zeros(3, 0, 4, dtype=torch.uint8), palette).shape == (0, 4)


BLACK = torch.zeros(3, 2, 2, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("picture", "palette", "ignored", "message"),
    [
        (BLACK[0], [(0, 0, 0)], None, "picture must have shape (3, H, W), got (2, 2)"),
        (BLACK.float(), [(0, 0, 0)], None, "picture must be torch.uint8, from 0 to 255, got torch.float32"),
        (BLACK, [(0, 0)], None, "palette must have shape (K, 3), got (1, 2)"),
        (BLACK, torch.zeros(1, 3), None, "palette must be integers from 0 to 255, got torch.float32"),
        (BLACK, torch.zeros(0, 3).long(), None, "palette must have from 1 to 256 colours, got 0"),
        (BLACK, voc_palette(256), (1, 1, 1), "palette must have from 1 to 255 colours, got 256"),
        (BLACK, [(0, 0, 256)], None, "palette[0] must be three whole numbers from 0 to 255, got (0, 0, 256)"),
        (BLACK, [(0, 0, 0)], (1, 2), "ignore_color must be three whole numbers from 0 to 255, got (1, 2)"),
        (BLACK, [(0, 0, 0)], (0, 0.5, 0), "ignore_color must be three whole numbers from 0 to 255, got (0, 0.5, 0)"),
        (
            BLACK,
            [(0, 0, 0), (1, 1, 1), (0, 0, 0)],
            None,
            "palette[2] must be another colour than palette[0], both are (0, 0, 0)",
        ),
        (
            BLACK,
            [(0, 0, 0), (1, 1, 1)],
            (1, 1, 1),
            "ignore_color must be another colour than palette[1], both are (1, 1, 1)",
        ),
    ],
)
def test_labels_from_colors_refuses(picture, palette, ignored, message):
    with pytest.raises(InputError) as caught:
        labels_from_colors(picture, palette, ignored)
    assert str(caught.value) == f"labels_from_colors: {message}"


def test_the_first_unknown_colour_is_named():
    picture = BLACK.clone()
    picture[:, 1] = torch.tensor([[7, 9], [8, 9], [9, 9]])
    for palette in ([(0, 0, 0)], [(0, 0, 0), (255, 255, 255)]):  # below and above all known ones
        with pytest.raises(InputError) as caught:
            labels_from_colors(picture, palette)
        assert str(caught.value) == (
            "labels_from_colors: the colour of picture[:, 1, 0], (7, 8, 9), is neither in the palette nor the one to "
            "ignore; 2 of 4 pixels have such colours"
        )
    with pytest.raises(InputError, match=r"picture\[:, 1, 1\], \(9, 9, 9\), is not in the palette; 1 of 4"):
        labels_from_colors(picture, [(0, 0, 0), (7, 8, 9)], None)


@pytest.mark.parametrize(
    ("labels", "ignored", "message"),
    [
        (torch.tensor([[0, 2]]), (9, 9, 9), "labels[0, 1] must lie from 0 to 1 or be 255 (ignored), got 2"),
        (torch.tensor([[0], [300]]), (9, 9, 9), "labels[1, 0] must lie from 0 to 1 or be 255 (ignored), got 300"),
        (torch.tensor([[0, 255]]), None, "labels[0, 1] must lie from 0 to 1, got 255"),
        (torch.tensor([[0, -1]]), None, "labels[0, 1] must be at least 0, got -1"),
        (torch.zeros(2, 2), None, "labels must be integers, got torch.float32"),
        (torch.zeros(1, 2, 2).long(), None, "labels must have shape (H, W), got (1, 2, 2)"),
    ],
)
def test_colors_from_labels_refuses(labels, ignored, message):
    with pytest.raises(InputError) as caught:
        colors_from_labels(labels, [(0, 0, 0), (1, 1, 1)], ignored)
    assert str(caught.value) == f"colors_from_labels: {message}"


@pytest.mark.parametrize("num", [0, 257, 2.5, "21"])
def test_palettes_of_other_sizes_are_refused(num):
    with pytest.raises(InputError, match="^voc_palette: num must be a whole number from 1 to 256, got "):
        voc_palette(num)


def test_later_masks_lie_on_earlier_ones():
    masks = torch.zeros(4, 2, 4, dtype=torch.bool)
    masks[0, :, :3], masks[1, 0, 1:], masks[3, 1, 2] = True, True, True  # mask 2 is empty
    assert instances_from_masks(masks).tolist() == [[1, 2, 2, 2], [1, 1, 4, 0]]
    assert instances_from_masks(masks.to(torch.uint8)).dtype == torch.int64
    assert instances_from_masks(masks[:0]).tolist() == [[0] * 4] * 2


def test_masks_of_missing_numbers_are_not_made():
    masks = masks_from_instances(torch.tensor([[0, 9, 9], [4, 0, 9]], dtype=torch.int32))
    assert masks.tolist() == [[[False] * 3, [True, False, False]], [[False, True, True], [False, False, True]]]
    assert masks_from_instances(torch.zeros(3, 5).long()).shape == (0, 3, 5)


def test_masks_of_still_lifes_to_instances_and_back():
    """Their masks are of visible pixels, so none covers another."""
    for i in range(5):
        masks = StillLife(96, count=(4, 7))[i][1]["masks"]
        assert isinstance(masks, tv_tensors.Mask)
        instances = instances_from_masks(masks)
        assert type(instances) is torch.Tensor
        assert torch.equal(masks_from_instances(instances), masks.as_subclass(torch.Tensor))


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([torch.uint8, torch.int64, torch.bool, torch.int32]),
)
def test_resizing_takes_the_pixel_under_each_centre(old, new, dtype):
    labels = torch.arange(old[0] * old[1]).reshape(old)
    labels = labels.to(dtype) if dtype != torch.bool else labels % 3 == 0
    made = resize_labels(labels, new)
    # by fractions: centre (i + 1/2) * old / new lies in pixel floor of that
    rows = [((2 * i + 1) * old[0]) // (2 * new[0]) for i in range(new[0])]
    columns = [((2 * i + 1) * old[1]) // (2 * new[1]) for i in range(new[1])]
    assert made.tolist() == [[labels[y, x].item() for x in columns] for y in rows]
    assert made.dtype == dtype


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_whole_factors_are_exact(factor):
    labels = torch.randint(256, (2, 6, 7), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    large = resize_labels(labels, (6 * factor, 7 * factor))
    assert torch.equal(large, labels.repeat_interleave(factor, 1).repeat_interleave(factor, 2))
    assert torch.equal(resize_labels(large, (6, 7)), labels)


def test_resizing_is_torchs_nearest_exact():
    labels = torch.randint(256, (1, 1, 37, 53), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    for size in ((16, 64), (37, 53), (100, 17)):
        assert torch.equal(resize_labels(labels, size), functional.interpolate(labels, size, mode="nearest-exact"))


@pytest.mark.parametrize(
    ("labels", "size", "message"),
    [
        (torch.zeros(3).long(), (2, 2), "labels must have shape (..., H, W), got (3,)"),
        (torch.zeros(3, 3), (2, 2), "labels must be integers or bool, got torch.float32"),
        (torch.zeros(3, 0).long(), (2, 2), "labels must have pixels, got shape (3, 0)"),
        (torch.zeros(3, 3).long(), (2, 0), "size must be (height, width), whole numbers above 0, got (2, 0)"),
        (torch.zeros(3, 3).long(), (2.5, 2), "size must be (height, width), whole numbers above 0, got (2.5, 2)"),
        (torch.zeros(3, 3).long(), (2,), "size must be (height, width), whole numbers above 0, got (2,)"),
    ],
)
def test_resizing_refuses(labels, size, message):
    with pytest.raises(InputError) as caught:
        resize_labels(labels, size)
    assert str(caught.value) == f"resize_labels: {message}"


def test_what_is_no_label_map_is_refused():
    with pytest.raises(TypeError, match="resize_labels: labels must be a torch.Tensor, got ndarray"):
        resize_labels(np.zeros((3, 3)), (2, 2))
    with pytest.raises(InputError, match=r"^instances_from_masks: masks must have shape \(N, H, W\), got \(3, 3\)"):
        instances_from_masks(torch.zeros(3, 3))
    with pytest.raises(InputError, match=r"^masks_from_instances: instances\[1, 2\] must be at least 0, got -3"):
        masks_from_instances(torch.tensor([[0, 1, 2], [0, 0, -3]]))
    with pytest.raises(InputError, match="^op: name must be integers, got torch.bool"):
        plain_labels("op", "name", torch.zeros(2, 2).bool())


def test_real_label_maps_survive_their_colours():
    folder = DATA / "coco128" / "semantic"
    if not folder.is_dir():
        pytest.skip("the photographs of COCO are not beside this repository")
    palette = voc_palette(256)[:255]  # the last is the colour to ignore
    for file in sorted(folder.rglob("*.png"))[:5]:
        labels = read_mask(file)
        assert torch.equal(labels_from_colors(colors_from_labels(labels, palette), palette).long(), labels)


def test_real_instances_to_masks_and_back():
    folder = DATA / "nuclei" / "labels"
    if not folder.is_dir():
        pytest.skip("the nuclei are not beside this repository")
    for file in sorted(folder.glob("*.png"))[:3]:
        instances = read_mask(file)
        masks = masks_from_instances(instances)
        assert len(masks) == int(instances.max())  # all numbers occur
        assert torch.equal(instances_from_masks(masks), instances)
