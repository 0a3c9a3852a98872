"""What must hold for all maps, pictures, boxes and seeds, tried on those that hypothesis makes up."""

import hypothesis.strategies as st
import torch
from hypothesis import assume, given, settings

from cvlab.augment import (
    Elastic,
    Flip,
    Geometric,
    Perspective,
    ResizedCrop,
    ShiftScaleRotate,
    Warp,
    affine,
    colour,
    cutmix,
    cutout,
    mosaic,
    seeded,
)
from cvlab.augment.mixing import hide
from cvlab.augment.targets import rows, shares, tight_boxes
from cvlab.augment.views import inverse

settings.register_profile("cvlab", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("cvlab")

sides = st.integers(1, 40)
sizes = st.tuples(sides, sides)
seeds = st.integers(0, 2**16)
shares_of_one = st.floats(0, 1)
factors = st.floats(0, 2)
dtypes = st.sampled_from([torch.uint8, torch.float16, torch.float32, torch.float64])


def plain(value):
    return value.as_subclass(torch.Tensor)


def noise(seed, *shape, dtype=torch.float64):
    made = torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (made * 255).round().to(dtype) if dtype == torch.uint8 else made.to(dtype)


@st.composite
def flat_maps(draw):
    """A flip, shift, stretch, slant, turn and look from aside, of a picture of (30, 40)."""

    def number(low, high):
        return draw(st.floats(low, high))

    matrix = affine.scaling(number(0.3, 3), number(0.3, 3)) @ affine.shearing(number(-40, 40))
    matrix = affine.about(affine.rotation(number(-180, 180)) @ matrix, (20, 15))
    matrix = affine.translation(number(-30, 30), number(-30, 30)) @ matrix
    matrix = matrix @ affine.horizontal_flip(40) if draw(st.booleans()) else matrix
    corners = torch.tensor([[0.0, 0], [40, 0], [40, 30], [0, 30]], dtype=torch.float64)
    return matrix @ affine.perspective(corners, corners + (noise(draw(seeds), 4, 2) - 0.5) * 10)


def boxes_in(seed, count, size=(30, 40), least=1.0, dtype=torch.float64):
    """Boxes within a picture, with sides of at least `least`."""
    r = noise(seed, count, 4)
    room = torch.tensor([size[1], size[0]], dtype=torch.float64)
    side = least + r[:, 2:] * (room - least)
    corner = r[:, :2] * (room - side)
    return torch.cat([corner, corner + side], 1).to(dtype)


def scene(seed, count, size, points=True):
    """A picture with ellipses: their masks overlap, their boxes are tight."""
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    x1, y1, x2, y2 = (side[:, None, None] for side in boxes_in(seed, count, size, 3.0).unbind(1))
    masks = ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 <= 1
    masks = masks[masks.flatten(1).any(1)]
    count = len(masks)
    target = {"boxes": tight_boxes(masks), "masks": masks, "labels": torch.arange(count) + 1}
    target |= {"visibility": noise(seed + 1, count).float(), "names": [f"object {i}" for i in range(count)]}
    if points:
        target["keypoints"] = noise(seed + 2, count, 2, 2).float() * torch.tensor([size[1], size[0]])
        target["keypoints_visible"] = noise(seed + 3, count, 2) < 0.7
    return noise(seed + 4, 3, *size, dtype=torch.float32), target


def without(target, *names):
    return {name: value for name, value in target.items() if name not in names}


def without_objects(target):
    return rows(target, torch.zeros(len(target["labels"]), dtype=torch.bool))


def same(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]) if isinstance(value, torch.Tensor) else value == b[name], name


ANY = [Flip(), ShiftScaleRotate(0.2, 0.5, 60, 10), Perspective(0.5), ResizedCrop((24, 28), (0.3, 1.0))]
scenes = st.tuples(seeds, st.integers(0, 6), st.tuples(st.integers(8, 40), st.integers(8, 40)), st.booleans())


@given(flat_maps(), seeds)
def test_points_return(matrix, seed):
    points = noise(seed, 20, 2) * torch.tensor([40, 30])
    back = affine.warp_points(affine.warp_points(points, matrix), torch.linalg.inv(matrix))
    torch.testing.assert_close(back, points, atol=1e-8, rtol=0)
    warp = Warp(matrix, (30, 40), (50, 20))
    torch.testing.assert_close(inverse(warp).points(warp.points(points)), points, atol=1e-8, rtol=0)


@given(flat_maps(), flat_maps(), seeds)
def test_a_product_of_matrices_is_one_map_after_the_other(first, second, seed):
    points = noise(seed, 20, 2) * torch.tensor([40, 30])
    middle = affine.warp_points(points, first)
    far = (torch.cat([middle, torch.ones(20, 1)], 1) @ second[2]).abs()
    assume(bool((far > 0.05).all()))  # no point near the horizon, where numbers are large
    expected = affine.warp_points(middle, second)
    torch.testing.assert_close(affine.warp_points(points, second @ first), expected, atol=1e-6, rtol=1e-9)


@given(flat_maps(), seeds)
def test_a_factor_of_the_matrix_changes_nothing(matrix, seed):
    points = noise(seed, 10, 2) * 40
    torch.testing.assert_close(affine.warp_points(points, -3 * matrix), affine.warp_points(points, matrix))


@given(sizes, st.integers(1, 4), dtypes, seeds)
def test_flipping_twice_changes_no_bit(size, channels, dtype, seed):
    image = noise(seed, channels, *size, dtype=dtype)
    masks = noise(seed, 2, *size) < 0.5
    labels = (noise(seed, *size) * 2**40).long()
    boxes = boxes_in(seed, 3, size, dtype=torch.float64)
    for step in (Flip(1.0, 0.0), Flip(0.0, 1.0), Flip(1.0, 1.0)):
        warp = Geometric([step]).draw(size)
        once = warp.image(image)
        assert torch.equal(once, image.flip([axis for axis, on in ((-1, step.horizontal), (-2, step.vertical)) if on]))
        assert torch.equal(warp.image(once), image)
        assert torch.equal(warp.masks(warp.masks(masks)), masks)
        assert torch.equal(warp.masks(warp.masks(labels)), labels)
        torch.testing.assert_close(warp.boxes(warp.boxes(boxes)), boxes, atol=1e-12, rtol=0)


@given(flat_maps(), seeds)
def test_the_moved_box_holds_all_that_was_in_the_box(matrix, seed):
    """A hundred points of the box all end within the box around its moved corners: straight lines stay straight."""
    boxes = boxes_in(seed, 4)
    inside = boxes[:, None, :2] + noise(seed + 1, 4, 100, 2) * (boxes[:, 2:] - boxes[:, :2])[:, None]
    moved, around = affine.warp_points(inside, matrix), affine.warp_boxes(boxes, matrix)
    assert bool((moved >= around[:, None, :2] - 1e-9).all())
    assert bool((moved <= around[:, None, 2:] + 1e-9).all())
    # and it is no larger than it must be: a corner lies on each of its sides
    corners = affine.warp_points(affine.corners(boxes), matrix)
    assert torch.equal(affine.enclosing(corners), around)


@given(seeds)
def test_a_bent_box_holds_all_that_was_in_the_box(seed):
    """Between the points that are followed along the outline, it bulges by a fraction of a pixel at most."""
    with seeded(seed):
        field = Elastic(3.0, 12.0, p=1.0).draw_field((64, 64))
    warp = Warp(affine.identity(), (64, 64), (64, 64), field)
    boxes = boxes_in(seed, 3, (64, 64), 4.0)
    inside = boxes[:, None, :2] + noise(seed + 1, 3, 100, 2) * (boxes[:, 2:] - boxes[:, :2])[:, None]
    moved, around = warp.points(inside), warp.boxes(boxes)
    assert bool((moved >= around[:, None, :2] - 0.1).all())
    assert bool((moved <= around[:, None, 2:] + 0.1).all())


@st.composite
def colour_maps(draw):
    kind = draw(st.sampled_from(["brightness", "contrast", "saturation", "hue"]))
    if kind == "hue":
        return colour.hue(draw(st.floats(-1, 1)))
    return getattr(colour, kind)(draw(factors), *([draw(shares_of_one)] if kind == "contrast" else []))


@given(colour_maps(), colour_maps(), colour_maps())
def test_joining_colour_maps_is_associative(a, b, c):
    left, right = colour.compose(colour.compose(a, b), c), colour.compose(a, colour.compose(b, c))
    torch.testing.assert_close(left, right, atol=1e-12, rtol=0)
    unit = colour.brightness(1)
    for same_map in (colour.compose(unit, a), colour.compose(a, unit)):
        torch.testing.assert_close(same_map, a, atol=1e-15, rtol=0)


@given(colour_maps(), colour_maps(), seeds)
def test_a_joined_colour_map_does_the_first_then_the_second(a, b, seed):
    """On colours as vectors, without the cut at 0 and 1."""
    colours = noise(seed, 3, 10)

    def step(given, colour_map):
        return colour_map[:, :3] @ given + colour_map[:, 3:]

    torch.testing.assert_close(step(colours, colour.compose(a, b)), step(step(colours, a), b), atol=1e-12, rtol=0)


@given(factors, factors, st.floats(-1, 1), st.floats(-1, 1), shares_of_one)
def test_colour_maps_of_one_kind_join_to_one_of_their_kind(f, g, s, t, mean):
    for joined, single in (
        (colour.compose(colour.brightness(f), colour.brightness(g)), colour.brightness(f * g)),
        (colour.compose(colour.contrast(f, mean), colour.contrast(g, mean)), colour.contrast(f * g, mean)),
        (colour.compose(colour.hue(s), colour.hue(t)), colour.hue(s + t)),
    ):
        torch.testing.assert_close(joined, single, atol=1e-12, rtol=0)


@given(st.tuples(st.integers(1, 12), st.integers(1, 12)), dtypes, colour_maps(), seeds)
def test_colours_stay_in_their_range(size, dtype, colour_map, seed):
    image = noise(seed, 3, *size, dtype=dtype)
    changed = colour.apply(image, colour_map)
    assert (changed.shape, changed.dtype) == (image.shape, dtype)
    assert changed.min() >= 0
    assert changed.max() <= (255 if dtype == torch.uint8 else 1)


@given(scenes, seeds, st.booleans())
def test_the_share_that_is_left_is_a_share(made, seed, bend):
    _, target = scene(*made)
    with seeded(seed):
        warp = Geometric([*ANY, *([Elastic(2.0, 8.0, p=1.0)] if bend else [])]).draw(made[2])
    for known in (target, without(target, "masks")):
        share = shares(known, warp)
        assert share.shape == (len(target["boxes"]),)
        assert bool(((share >= 0) & (share <= 1)).all())


@given(st.tuples(st.integers(8, 40), st.integers(8, 40)), seeds, st.booleans())
def test_a_pixel_is_covered_if_its_centre_moves_into_the_picture(size, seed, bend):
    with seeded(seed):
        warp = Geometric([*ANY, *([Elastic(2.0, 8.0, p=1.0)] if bend else [])]).draw(size)
    x, y = affine.pixel_centres(size)
    u, v = warp.points(torch.stack(torch.broadcast_tensors(x, y), -1)).unbind(-1)
    room = torch.stack([u, warp.new[1] - u, v, warp.new[0] - v]).amin(0)
    sure = room.abs() > 1e-3  # on the edge itself, rounding decides
    assert torch.equal(warp.covered()[sure], room[sure] > 0)


@given(flat_maps(), seeds)
def test_what_is_wholly_inside_has_the_share_one_and_what_is_outside_none(matrix, seed):
    boxes = boxes_in(seed, 5)
    moved = affine.warp_boxes(boxes, matrix)
    low, high = moved.amin(0)[:2], moved.amax(0)[2:]
    size = tuple((high - low + 1).ceil().int().flip(0).tolist())
    masks = ~torch.zeros(1, 30, 40, dtype=torch.bool)
    shift = affine.translation(*(-low).tolist())
    assert shares({"boxes": boxes}, Warp(shift @ matrix, (30, 40), size)).tolist() == [1.0] * 5
    away = affine.translation(*(-2 * high.abs() - 2 * low.abs() - 1).tolist())
    assert shares({"boxes": boxes}, Warp(away @ matrix, (30, 40), size)).tolist() == [0.0] * 5
    # and so for masks: all of the picture lies in a frame around its moved outline
    x1, y1, x2, y2 = affine.warp_boxes(torch.tensor([[0.0, 0, 40, 30]], dtype=torch.float64), matrix)[0].tolist()
    frame = (int(y2 - y1) + 2, int(x2 - x1) + 2)
    whole = Warp(affine.translation(0.5 - x1, 0.5 - y1) @ matrix, (30, 40), frame)
    assert shares({"masks": masks}, whole).tolist() == [1.0]


@given(scenes, st.booleans(), seeds, st.randoms(use_true_random=False))
def test_the_order_of_the_objects_does_not_matter(made, with_masks, seed, random):
    image, target = scene(*made)
    target = target if with_masks else without(target, "masks")
    count = len(target["boxes"])
    order = torch.tensor(random.sample(range(count), count), dtype=torch.int64)
    hidden = noise(seed, *made[2]) < 0.5
    for change in (
        lambda t: Geometric([*ANY, Elastic(2.0, 8.0)], min_visibility=0.3)(image, t)[1],
        lambda t: cutout(image, t, share=0.4, min_visibility=0.5)[1],
        lambda t: hide(t, hidden, 0.5),
    ):
        with seeded(seed):
            straight = change(target)
        with seeded(seed):
            mixed = change(rows(target, order))
        place = order.argsort()[straight["labels"] - 1]  # where each object that is left came to lie
        same(rows(straight, place.argsort()), mixed)


@given(scenes, st.booleans(), seeds, shares_of_one, shares_of_one)
def test_the_more_must_be_visible_the_fewer_objects_stay(made, with_masks, seed, a, b):
    image, target = scene(*made)
    target = target if with_masks else without(target, "masks")
    low, high = sorted((a, b))
    hidden = noise(seed, *made[2]) < 0.5
    for change in (
        lambda t, least: Geometric(ANY, min_visibility=least)(image, t)[1],
        lambda t, least: cutout(image, t, share=0.4, min_visibility=least)[1],
        lambda t, least: hide(t, hidden, least),
        lambda t, least: cutmix((image, t), (image, without_objects(t)), share=0.4, min_visibility=least)[1],
    ):
        found = []
        for least in (low, high):
            with seeded(seed):
                found.append(change(target, least))
        many, few = found
        keep = torch.isin(many["labels"], few["labels"])
        assert set(few["names"]) <= set(many["names"])
        same(rows(many, keep.nonzero().flatten()), few)  # those who stay are the same


@given(scenes, seeds)
def test_boxes_masks_and_rows_agree_whatever_is_done(made, seed):
    image, target = scene(*made)
    with seeded(seed):
        results = [
            Geometric([*ANY, Elastic(2.0, 8.0)])(image, target),
            cutout(image, target, share=0.4),
            cutmix((image, target), (image.flip(-1), target)),
            mosaic([(image, target)] * 4, (20, 30)),
        ]
    for picture, found in results:
        masks, boxes = plain(found["masks"]), plain(found["boxes"])
        assert torch.equal(boxes, tight_boxes(masks))
        assert masks.flatten(1).any(1).all()
        assert masks.shape[1:] == picture.shape[1:]
        assert {len(found[name]) for name in target} == {len(boxes)}
        assert found["names"] == [f"object {label - 1}" for label in found["labels"].tolist()]


@given(scenes, seeds)
def test_hiding_nothing_changes_nothing_and_hiding_all_leaves_nothing(made, seed):
    _, target = scene(*made)
    nothing = torch.zeros(made[2], dtype=torch.bool)
    for known in (target, without(target, "masks")):
        same(hide(known, nothing, 1.0), known)
        assert len(hide(known, ~nothing, 0.0)["boxes"]) == 0
    hidden = noise(seed, *made[2]) < 0.5
    once = hide(target, hidden, 0.0)
    same(without(hide(once, hidden, 0.0), "visibility"), without(once, "visibility"))
