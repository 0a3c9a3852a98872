"""Letterboxes and stretches by hand, and everything that goes through them and back."""

import pytest
import torch

from cvlab._check import InputError
from cvlab.preprocess import ResizeMap, letterbox, resize, stretch


def test_letterbox_by_hand():
    # 300 x 400 into 200 x 200: the width decides, 200 / 400; 300 / 2 = 150 rows; 50 rows of padding, 25 above.
    to_input = letterbox((300, 400), (200, 200))
    assert (to_input.content, to_input.offset, to_input.scale) == ((150, 200), (25, 0), (0.5, 0.5))
    assert to_input.points(torch.tensor([[100.0, 60.0]])).tolist() == [[50.0, 55.0]]
    assert to_input.boxes(torch.tensor([[0.0, 0.0, 400.0, 300.0]])).tolist() == [[0, 25, 200, 175]]
    assert to_input.undo_boxes(torch.tensor([[0.0, 25.0, 200.0, 175.0]])).tolist() == [[0, 0, 400, 300]]


def test_content_is_whole_pixels_and_the_scale_follows_it():
    # 100 x 333 into 64 x 64: 100 / 333 * 64 = 19.2, so 19 rows; 45 of padding, half of it 22.5, rounded to 22.
    to_input = letterbox((100, 333), (64, 64))
    assert (to_input.content, to_input.offset) == ((19, 64), (22, 0))
    assert to_input.scale == (19 / 100, 64 / 333)
    # The lower edge of the image, at 100, is that of the content, at 22 + 19; one factor 64 / 333 would give 41.2.
    assert to_input.points(torch.tensor([333.0, 100.0])).tolist() == pytest.approx([64, 41], abs=1e-5)


def test_alignment_and_enlarging():
    assert letterbox((10, 20), (40, 40)).content == (20, 40)
    assert letterbox((10, 20), (40, 40), align="corner").offset == (0, 0)
    small = letterbox((10, 20), (40, 40), enlarge=False)
    assert (small.content, small.offset, small.scale) == ((10, 20), (15, 10), (1, 1))
    assert letterbox((10, 80), (40, 40), enlarge=False).content == (5, 40)  # it shrinks all the same
    assert letterbox((80, 10), (40, 40), enlarge=False).content == (40, 5)
    assert letterbox((40, 40), (40, 40), enlarge=False).content == (40, 40)


def test_stretch_by_hand():
    to_input = stretch((300, 400), (150, 300))
    assert to_input == ResizeMap((300, 400), (150, 300), (150, 300), (0, 0))
    assert to_input.boxes(torch.tensor([[4.0, 10.0, 8.0, 20.0]])).tolist() == [[3, 5, 6, 10]]  # x by 3/4, y by 1/2


@pytest.mark.parametrize(
    ("image_size", "size", "content"),
    [
        ((1, 1), (7, 5), (5, 5)),
        ((1, 10_000), (64, 64), (1, 64)),  # 1 / 10000 * 64 = 0.0064 rows, but at least 1
        ((10_000, 1), (64, 32), (64, 1)),
        ((3, 5), (1, 1), (1, 1)),
    ],
)
def test_at_least_one_pixel_stays(image_size, size, content):
    to_input = letterbox(image_size, size)
    assert to_input.content == content
    image = torch.rand(3, *image_size, generator=torch.Generator().manual_seed(0))
    assert to_input.image(image).shape == (3, *size)
    assert to_input.undo_image(to_input.image(image)).shape == image.shape
    masks = torch.ones(2, *image_size, dtype=torch.bool)
    assert torch.equal(to_input.undo_masks(to_input.masks(masks)), masks)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("align", ["centre", "corner"])
def test_image_is_the_resized_one_in_exact_padding(dtype, align):
    image = torch.rand(3, 30, 50, generator=torch.Generator().manual_seed(0))
    image = (image * 255).round().to(torch.uint8) if dtype == torch.uint8 else image
    to_input = letterbox((30, 50), (40, 40), align=align)  # 24 rows, 16 of padding
    padded = to_input.image(image)
    top = 8 if align == "centre" else 0
    assert torch.equal(padded[:, top : top + 24], resize(image, (24, 40)))
    rest = torch.cat((padded[:, :top], padded[:, top + 24 :]), 1)
    assert rest.unique().tolist() == [114 if dtype == torch.uint8 else pytest.approx(114 / 255, abs=1e-7)]
    white = to_input.image(image, fill=1.0, method="nearest")
    assert torch.equal(white[:, top : top + 24], resize(image, (24, 40), "nearest"))
    assert white[:, 30 if align == "corner" else 0].unique().tolist() == [255 if dtype == torch.uint8 else 1]
    unfiltered = to_input.image(image, antialias=False)[:, top : top + 24]
    assert torch.equal(unfiltered, resize(image, (24, 40), antialias=False))
    assert not torch.equal(unfiltered, padded[:, top : top + 24])


def test_masks_and_label_maps_are_padded_with_nothing():
    to_input = letterbox((2, 4), (8, 8))  # twice as large, 2 rows above and below
    masks = to_input.masks(torch.ones(1, 2, 4, dtype=torch.bool))
    assert masks.dtype == torch.bool
    assert masks[0].int().sum(1).tolist() == [0, 0, 8, 8, 8, 8, 0, 0]
    labels = to_input.masks(torch.full((2, 4), 7))
    assert (labels.dtype, labels[:, 0].tolist()) == (torch.int64, [0, 0, 7, 7, 7, 7, 0, 0])


@pytest.mark.parametrize("size", [(33, 45), (34, 46), (50, 64), (97, 101), (400, 45)])
@pytest.mark.parametrize("align", ["centre", "corner"])
def test_masks_return_bit_by_bit_where_nothing_shrinks(size, align):
    generator = torch.Generator().manual_seed(0)
    to_input = letterbox((33, 45), size, align=align)
    assert min(to_input.scale) >= 1
    masks = torch.rand(4, 33, 45, generator=generator) < 0.5
    assert torch.equal(to_input.undo_masks(to_input.masks(masks)), masks)
    labels = torch.randint(-1, 300, (33, 45), generator=generator)
    assert torch.equal(to_input.undo_masks(to_input.masks(labels)), labels)


def test_probabilities_return_bilinear():
    to_input = letterbox((4, 4), (4, 2))  # content 2 x 2 at (1, 0)
    probability = torch.tensor([[9.0, 9.0], [0.0, 1.0], [0.0, 1.0], [9.0, 9.0]])  # the padding is not seen
    back = to_input.undo_masks(probability)
    assert back.tolist() == [[0, 0.25, 0.75, 1]] * 4
    assert to_input.undo_masks(probability > 0.5).tolist() == [[False, False, True, True]] * 4


def test_image_returns():
    image = torch.linspace(0, 1, 40).expand(3, 30, 40)
    for to_input in (letterbox((30, 40), (100, 100)), stretch((30, 40), (90, 70))):
        back = to_input.undo_image(to_input.image(image))
        torch.testing.assert_close(back[..., 2:-2], image[..., 2:-2], atol=1e-3, rtol=0)  # a ramp of 1 / 39
    to_input = letterbox((30, 40), (100, 100))
    nearest = to_input.undo_image(to_input.image(image, method="nearest"), method="nearest")
    assert torch.equal(nearest, image)


def test_boxes_in_the_padding_are_clipped_where_asked():
    to_input = letterbox((300, 400), (200, 200))
    boxes = torch.tensor([[-10.0, 5.0, 100.0, 100.0], [0.0, 180.0, 200.0, 200.0]])
    # y = 5 is (5 - 25) * 2 = -40, and 180 is 310, below the image's 300
    assert to_input.undo_boxes(boxes, clip=False).tolist() == [[-20, -40, 200, 150], [0, 310, 400, 350]]
    assert to_input.undo_boxes(boxes).tolist() == [[0, 0, 200, 150], [0, 300, 400, 300]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64, torch.uint8])
def test_dtypes_of_coordinates(dtype):
    to_input = letterbox((30, 40), (20, 20))
    boxes = torch.tensor([[2, 4, 6, 9]], dtype=dtype)
    expected = dtype if dtype.is_floating_point else torch.float32
    for found in (to_input.boxes(boxes), to_input.points(boxes[:, :2]), to_input.undo_points(boxes[:, :2])):
        assert found.dtype == expected
    assert to_input.boxes(boxes).tolist() == [[1, 4, 3, 6.5]]  # 15 rows, 2.5 of padding rounded to 2; 9 / 2 + 2 = 6.5
    assert to_input.undo_boxes(to_input.boxes(boxes)).tolist() == [[2, 4, 6, 9]]


@pytest.mark.parametrize("make", [letterbox, stretch])
@pytest.mark.parametrize("size", [(640, 640), (224, 512), (1333, 801), (32, 32)])
@pytest.mark.parametrize("image_size", [(8000, 8000), (2667, 8000), (480, 640)])
def test_coordinates_return(make, size, image_size):
    """To a thousandth of a pixel in float32, whose numbers are 0.0005 apart at 8000; to 1e-10 in float64."""
    height, width = image_size
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2000, 2, 2, generator=generator, dtype=torch.float64) * torch.tensor([width, height])
    boxes = torch.cat((corners.amin(1), corners.amax(1)), 1)
    to_input = make(image_size, size)
    for dtype, tolerance in ((torch.float32, 1e-3 if width == 8000 else 1e-4), (torch.float64, 1e-10)):
        there = boxes.to(dtype)
        back = to_input.undo_boxes(to_input.boxes(there))
        torch.testing.assert_close(back, there, atol=tolerance, rtol=0)
        points = there[:, :2]
        torch.testing.assert_close(to_input.undo_points(to_input.points(points)), points, atol=tolerance, rtol=0)


def test_nothing_goes_through():
    to_input = letterbox((30, 40), (64, 64))
    assert to_input.boxes(torch.zeros(0, 4)).shape == (0, 4)
    assert to_input.undo_boxes(torch.zeros(0, 4)).shape == (0, 4)
    assert to_input.points(torch.zeros(0, 2)).shape == (0, 2)
    assert to_input.undo_points(torch.zeros(5, 0, 2)).shape == (5, 0, 2)
    assert to_input.masks(torch.zeros(0, 30, 40, dtype=torch.bool)).shape == (0, 64, 64)
    assert to_input.undo_masks(torch.zeros(0, 64, 64)).shape == (0, 30, 40)
    assert to_input.image(torch.zeros(0, 3, 30, 40)).shape == (0, 3, 64, 64)


TO_INPUT = letterbox((30, 40), (64, 64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: letterbox((0, 4), (8, 8)), r"letterbox: image_size\[0\] must be finite and above 0, got 0"),
        (lambda: letterbox((4, 4), (8, -1)), r"letterbox: size\[1\] must be finite and above 0, got -1"),
        (lambda: letterbox((4, 4), 8), "letterbox: size must be a sequence of numbers, got 8"),
        (lambda: letterbox((4, 4), (8, 8.5)), r"letterbox: size must be whole numbers of pixels, got \(8, 8.5\)"),
        (lambda: letterbox((4, 4), (8, 8), align="left"), "letterbox: align must be one of centre, corner, got 'left'"),
        (lambda: stretch((4, 0), (8, 8)), r"stretch: image_size\[1\] must be finite and above 0"),
        (lambda: stretch((4, 4), (8, 0)), r"stretch: size\[1\] must be finite and above 0"),
        (lambda: ResizeMap((4, 4), (8, 8), (8, 9), (0, 0)), r"ResizeMap: content \(8, 9\) at offset \(0, 0\) must lie"),
        (lambda: ResizeMap((4, 4), (8, 8), (4, 4), (5, 0)), r"ResizeMap: content \(4, 4\) at offset \(5, 0\) must lie"),
        (lambda: ResizeMap((4, 4), (8, 8), (4, 4), (-1, 0)), r"offset \(-1, 0\) must lie inside size \(8, 8\)"),
        (lambda: ResizeMap((4, 4), (8, 8), (4, 4), (0.5, 0)), "must lie inside size .* in whole pixels"),
        (lambda: ResizeMap((4, 4), (8, 8), (0, 4), (0, 0)), r"ResizeMap: content\[0\] must be finite and above 0"),
        (
            lambda: TO_INPUT.image(torch.zeros(3, 40, 30)),
            r"ResizeMap.image: image must have shape \(..., 30, 40\), got \(3, 40, 30\)",
        ),
        (
            lambda: TO_INPUT.image(torch.zeros(3, 30, 40, dtype=torch.int64)),
            "ResizeMap.image: image must be float or uint8",
        ),
        (lambda: TO_INPUT.image(torch.zeros(3, 30, 40), fill=114), r"ResizeMap.image: fill must lie in \[0, 1\]"),
        (
            lambda: TO_INPUT.masks(torch.zeros(1, 64, 64, dtype=torch.bool)),
            r"ResizeMap.masks: masks must have shape \(..., 30, 40\), got \(1, 64, 64\)",
        ),
        (
            lambda: TO_INPUT.masks(torch.zeros(1, 30, 40)),
            "ResizeMap.masks: masks must be bool or integers, got torch.f",
        ),
        (
            lambda: TO_INPUT.undo_image(torch.zeros(3, 30, 40)),
            r"ResizeMap.undo_image: image must have shape \(..., 64, 64\)",
        ),
        (
            lambda: TO_INPUT.undo_masks(torch.zeros(1, 30, 40)),
            r"ResizeMap.undo_masks: masks must have shape \(..., 64, 64\)",
        ),
        (lambda: TO_INPUT.boxes(torch.zeros(3, 5)), r"ResizeMap.boxes: boxes must have shape \(..., 4\), got \(3, 5\)"),
        (lambda: TO_INPUT.undo_boxes(torch.tensor([[5.0, 0, 4, 9]])), r"ResizeMap.undo_boxes: boxes\[0\] has x2 < x1"),
        (lambda: TO_INPUT.points(torch.zeros(3)), r"ResizeMap.points: points must have shape \(..., 2\), got \(3,\)"),
        (
            lambda: TO_INPUT.undo_points(torch.tensor([[0.0, float("nan")]])),
            r"ResizeMap.undo_points: points\[0, 1\] is not finite",
        ),
        (
            lambda: TO_INPUT.points(torch.ones(1, 2, dtype=torch.bool)),
            "ResizeMap.points: points must be float or integer, got torch.bool",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
