import hashlib
import itertools
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from cvlab._palette import KINDS as KIND_COLOURS
from cvlab.data import StillLife, collate, hero
from cvlab.data.still_life import backgrounds, light, noise, surface
from cvlab.data.still_life.props import PROPS
from cvlab.data.still_life.rng import Random


@pytest.fixture(scope="module")
def items():
    data = StillLife(size=96, length=60)
    return [data[i] for i in range(len(data))]


def same(a, b):
    return (
        torch.equal(a[0], b[0])
        and a[1].keys() == b[1].keys()
        and all(torch.equal(v, b[1][k]) if isinstance(v, torch.Tensor) else v == b[1][k] for k, v in a[1].items())
    )


# What an item is.


def test_types_and_shapes():
    image, target = StillLife(size=(48, 80))[0]
    n = len(target["labels"])
    assert type(image) is tv_tensors.Image
    assert image.shape == (3, 48, 80)
    assert image.dtype == torch.float32
    assert 0 <= image.min() < image.max() <= 1
    assert type(target["boxes"]) is tv_tensors.BoundingBoxes
    assert target["boxes"].format is tv_tensors.BoundingBoxFormat.XYXY
    assert target["boxes"].canvas_size == (48, 80)
    assert type(target["masks"]) is type(target["semantic"]) is tv_tensors.Mask
    shapes = {k: (tuple(v.shape), v.dtype) for k, v in target.items() if isinstance(v, torch.Tensor)}
    assert shapes == {
        "boxes": ((n, 4), torch.float32),
        "labels": ((n,), torch.int64),
        "masks": ((n, 48, 80), torch.bool),
        "semantic": ((48, 80), torch.int64),
        "keypoints": ((n, 3, 2), torch.float32),
        "keypoints_visible": ((n, 3), torch.bool),
        "visibility": ((n,), torch.float32),
    }
    assert isinstance(target["caption"], str)
    assert target["image_id"] == 0


def test_uint8_is_float_times_255():
    as_float, as_bytes = StillLife(size=48)[5][0], StillLife(size=48, dtype=torch.uint8)[5][0]
    assert as_bytes.dtype == torch.uint8
    assert torch.equal((as_float * 255).round().to(torch.uint8), as_bytes)


def test_masks_boxes_and_semantic_agree(items):
    for _, target in items:
        masks, semantic = target["masks"], torch.zeros_like(target["semantic"])
        assert masks.sum(0).max() <= 1  # no pixel has two owners
        for mask, box, label in zip(masks, target["boxes"], target["labels"], strict=True):
            ys, xs = torch.nonzero(mask, as_tuple=True)
            assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            semantic[mask] = label
        assert torch.equal(semantic, target["semantic"])


def test_visibility_is_what_is_left_of_the_whole(items):
    seen = torch.cat([target["visibility"] for _, target in items])
    assert seen.min() >= StillLife.MIN_VISIBLE
    assert seen.max() == 1
    assert 0.02 < (seen < 0.9).float().mean() < 0.5  # some are covered, most are not
    whole = [t["masks"][i].sum() / v for _, t in items for i, v in enumerate(t["visibility"])]
    assert all(abs(float(w) - round(float(w))) < 1e-2 for w in whole)  # the whole area is a number of pixels


def test_counts_and_sizes(items):
    assert {len(t["labels"]) for _, t in items} == {1, 2, 3, 4, 5}
    whole = [t for _, t in items if (t["visibility"] == 1).all()]
    sides = torch.cat([(t["boxes"][:, 2:] - t["boxes"][:, :2]).max(1).values for t in whole]) / 96
    assert sides.min() > 0.12  # half sizes are 9 % to 25 % of the side
    assert sides.max() < 0.56


def test_every_kind_and_thing_appears(items):
    assert torch.cat([t["labels"] for _, t in items]).unique().tolist() == list(range(1, 11))
    assert len({t["caption"].partition(" on ")[2] for _, t in items}) > 8


def test_visible_keypoints_lie_in_their_masks(items):
    for _, target in items:
        for k, points in enumerate(target["keypoints"]):
            for point, visible in zip(points, target["keypoints_visible"][k], strict=True):
                x, y = (int(v) for v in point.floor())
                assert not visible or target["masks"][k, y, x]


@pytest.mark.parametrize("kind", StillLife.KINDS)
def test_keypoints_are_on_the_fruit(kind):
    alone = [StillLife(size=128, seed=s, kinds=[kind], count=1, distractors=0)[0][1] for s in range(12)]
    alone = [target for target in alone if target["visibility"][0] == 1]
    assert len(alone) > 3
    for target in alone:
        xs, ys = target["keypoints"][0].floor().to(torch.int64).T
        assert target["masks"][0, ys, xs].all()  # hidden ones too: they are right below
    visible = torch.cat([target["keypoints_visible"] for target in alone])
    assert visible[:, 2].all()
    assert visible[:, 0].any()
    assert visible.all() == (kind in ("banana", "apple", "pear", "plum", "strawberry", "peach"))


def test_caption_says_what_is_there(items):
    words = dict(zip(["a", "an", "two", "three", "four", "five"], (1, 1, 2, 3, 4, 5), strict=True))
    for _, target in items:
        listed, _, where = target["caption"].partition(" on ")
        assert where
        terms = listed.replace(" and ", ", ").split(", ")
        assert sum(words[term.split()[0]] for term in terms) == len(target["labels"])
        assert len(terms) == len(target["labels"].unique())


def test_empty_table():
    image, target = StillLife(size=64, count=0, distractors=0)[0]
    assert image.std() > 0
    assert target["boxes"].shape == (0, 4)
    assert target["masks"].shape == (0, 64, 64)
    assert target["keypoints"].shape == (0, 3, 2)
    assert target["semantic"].max() == 0
    assert target["caption"].startswith("nothing on ")


def test_labels_follow_the_chosen_kinds():
    data = StillLife(size=64, kinds=("plum", "banana"), count=3)
    for i in range(6):
        target = data[i][1]
        assert set(target["labels"].tolist()) <= {1, 2}
        assert ("plum" in target["caption"]) == (1 in target["labels"])
        assert ("banana" in target["caption"]) == (2 in target["labels"])


def test_unlabeled_things_are_background():
    """They are drawn, since the pictures differ from those of the bare table, but no pixel is theirs."""
    with_things, bare = (StillLife(size=64, count=0, distractors=n, background="wood") for n in (3, 0))
    for i in range(4):
        scene = with_things.scene(i)
        assert scene.owner.max() == 0
        differs = np.abs(scene.image.astype(int) - bare.scene(i).image).max(0) > 40  # more than shadows and grain
        assert 0.02 < differs.mean() < 0.6


@pytest.mark.parametrize("background", StillLife.BACKGROUNDS)
def test_backgrounds(background):
    image, target = StillLife(size=48, background=background)[1]
    assert image.std() > 0.01
    assert "on " in target["caption"]


def test_many_fruits_find_room():
    sizes = [len(StillLife(size=128, count=16)[i][1]["labels"]) for i in range(4)]
    assert max(sizes) <= 16
    assert min(sizes) >= 10


def test_hero_is_a_full_table():
    image, target = hero(size=(96, 144))
    assert image.shape == (3, 96, 144)
    assert len(target["labels"]) >= 7


# The same item, always.


def test_items_do_not_depend_on_order_or_copy():
    data = StillLife(size=48)
    forward = [data[i] for i in range(4)]
    again = [StillLife(size=48)[i] for i in (3, 2, 1, 0)][::-1]
    assert all(same(a, b) for a, b in zip(forward, again, strict=True))
    copy = pickle.loads(pickle.dumps(data))
    assert same(copy[2], forward[2])


@pytest.mark.parametrize("workers", [0, 2])
def test_data_loader(workers):
    data = StillLife(size=48, length=6)
    loader = DataLoader(data, batch_size=4, num_workers=workers, collate_fn=collate)
    batches = list(loader)
    assert [len(images) for images, _ in batches] == [4, 2]
    images, targets = (list(itertools.chain.from_iterable(part)) for part in zip(*batches, strict=True))
    assert all(same((images[i], targets[i]), data[i]) for i in range(6))


def test_seeds_splits_and_items_differ():
    images = [
        StillLife(size=48, split=split, seed=seed)[i][0]
        for split, seed, i in itertools.product(("train", "val", "test"), (0, 1), (0, 1))
    ]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(images, 2))


def test_splits_share_no_photograph():
    names = [name for split in backgrounds.PHOTOS.values() for name in split]
    assert set(backgrounds.PHOTOS) == {"train", "val", "test"}
    assert len(names) == len(set(names))


def test_image_and_truth_stay_when_only_length_or_dtype_change():
    assert torch.equal(StillLife(size=48, length=3)[2][0], StillLife(size=48, length=900)[2][0])


# sha256 of the uint8 images of items 0 to 7, and of their masks, on procedural backgrounds. If this fails because you
# changed the renderer: look at many new pictures, raise VERSION in scene.py, add the new digests under it, and retrain
# what was trained on the old pictures. If it fails with nothing changed, this machine rounds differently: report it.
DIGESTS = {
    1: (
        "d9f36e7679f1066e60ff4b2161ae9a3ecdfd3f20427fa393ee985665c657b589",
        "1842f843f554eb1ca755ac187e55724f52cccc8b2787704b9c7915660c15fdb8",
    ),
}


def test_pictures_of_this_version_are_unchanged():
    pictures, masks = hashlib.sha256(), hashlib.sha256()
    procedural = [name for name in StillLife.BACKGROUNDS if name != "photo"]
    data = StillLife(size=64, dtype=torch.uint8, background=procedural)
    for i in range(8):
        image, target = data[i]
        pictures.update(image.numpy().tobytes())
        masks.update(target["masks"].numpy().tobytes())
    assert (pictures.hexdigest(), masks.hexdigest()) == DIGESTS[StillLife.VERSION]


# With torchvision.


def test_flip_moves_image_boxes_masks_and_keypoints_alike():
    data = StillLife(size=(64, 96))
    image, target = next(data[i] for i in range(20) if len(data[i][1]["labels"]) >= 3)
    flipped, moved = v2.RandomHorizontalFlip(p=1.0)(image, target)
    assert torch.equal(flipped, image.flip(-1))
    assert torch.equal(moved["masks"], target["masks"].flip(-1))
    assert torch.equal(moved["semantic"], target["semantic"].flip(-1))
    boxes = target["boxes"].as_subclass(torch.Tensor)
    assert torch.equal(
        moved["boxes"].as_subclass(torch.Tensor),
        torch.stack([96 - boxes[:, 2], boxes[:, 1], 96 - boxes[:, 0], boxes[:, 3]], 1),
    )
    if hasattr(tv_tensors, "KeyPoints"):
        assert isinstance(target["keypoints"], tv_tensors.KeyPoints)
        # torchvision mirrors key points as pixel centres, x -> width - 1 - x in some versions and width - x in others
        shift = moved["keypoints"][..., 0].as_subclass(torch.Tensor) + target["keypoints"][..., 0].as_subclass(
            torch.Tensor
        )
        assert ((shift - 96).abs() < 1.01).all()
        assert torch.equal(moved["keypoints"][..., 1], target["keypoints"][..., 1])


def test_transforms_argument():
    crop = v2.Compose([v2.RandomCrop(40), v2.ToDtype(torch.float64, scale=True)])
    image, target = StillLife(size=64, transforms=crop)[0]
    assert image.shape == (3, 40, 40)
    assert image.dtype == torch.float64
    assert target["masks"].shape[1:] == (40, 40)
    assert target["boxes"].canvas_size == (40, 40)


def test_sanitizing_keeps_every_row_in_step():
    """As the class shows it: the rows that are left are those of the objects that are left."""
    rows = ("labels", "keypoints", "keypoints_visible", "visibility")
    clean = v2.SanitizeBoundingBoxes(labels_getter=lambda item: [item[1][name] for name in rows])
    data, dropped = StillLife(size=64, count=(3, 5)), 0
    for i in range(8):
        image, target = data[i]
        boxes = target["boxes"].clone()
        gone = boxes[:, 0] > 30  # as if a crop had left nothing of them
        boxes[gone, 2:] = boxes[gone, :2]
        cropped = clean(image, {**target, "boxes": tv_tensors.wrap(boxes, like=target["boxes"])})[1]
        dropped += int(gone.sum())
        for name in ("masks", *rows):
            assert torch.equal(cropped[name], target[name][~gone]), name
    assert dropped > 3


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"size": 31}, ValueError, "size must be from 32 to 2048, got 31"),
        ({"size": 4096}, ValueError, "size must be from 32 to 2048"),
        ({"size": 64.0}, TypeError, "size must be a whole number, got 64.0"),
        ({"size": True}, TypeError, "size must be a whole number"),
        ({"size": (64, 64, 3)}, ValueError, "size must be a number or"),
        ({"size": (64, -1)}, ValueError, "size must be from 32"),
        ({"count": -1}, ValueError, "count must be from 0 to 16, got -1"),
        ({"count": (3, 2)}, ValueError, r"count must be \(fewest, most\), got \(3, 2\)"),
        ({"count": 17}, ValueError, "count must be from 0 to 16, got 17"),
        ({"count": 1.5}, TypeError, "count must be a whole number, got 1.5"),
        ({"count": (1, 2, 3)}, ValueError, "count must be a number or"),
        ({"distractors": 9}, ValueError, "distractors must be from 0 to 8"),
        ({"kinds": ()}, ValueError, "kinds must name at least one of banana"),
        ({"kinds": ("banana", "durian")}, ValueError, "kinds must be among banana, .*got 'durian' at 1"),
        ({"kinds": ("plum", "plum")}, ValueError, "kinds must not repeat"),
        ({"split": "training"}, ValueError, "split must be one of train, val, test, got 'training'"),
        ({"seed": -1}, ValueError, "seed must be from 0"),
        ({"seed": 0.5}, TypeError, "seed must be a whole number"),
        ({"length": -1}, ValueError, "length must be from 0"),
        ({"background": "lawn"}, ValueError, "background must be among wood, .*got 'lawn'"),
        ({"kinds": None}, TypeError, "kinds must be names among banana, .*got None"),
        ({"kinds": 5}, TypeError, "kinds must be names among banana, .*got 5"),
        ({"background": 3}, TypeError, "background must be names among wood, .*got 3"),
        ({"scale": 0.1}, TypeError, r"scale must be two numbers, \(smallest, largest\), got 0.1"),
        ({"scale": (0.1,)}, TypeError, r"scale must be two numbers, .* got \(0.1,\)"),
        ({"scale": ("a", "b")}, TypeError, r"scale must be two numbers, .* got \('a', 'b'\)"),
        ({"scale": (0.1, float("nan"))}, ValueError, "scale must be"),
        ({"transforms": 3}, TypeError, r"transforms must be a function of \(image, target\) or None, got 3"),
        ({"scale": (0.2, 0.1)}, ValueError, "scale must be"),
        ({"scale": (0.01, 0.1)}, ValueError, "scale must be"),
        ({"dtype": torch.int32}, ValueError, "dtype must be torch.float32 or torch.uint8, got torch.int32"),
    ],
)
def test_refuses(arguments, error, message):
    with pytest.raises(error, match=f"StillLife: {message}"):
        StillLife(**arguments)


@pytest.mark.parametrize("index", [3, -4, 10**9])
def test_index_out_of_range(index):
    with pytest.raises(IndexError, match=f"index {index} is out of range for 3 items"):
        StillLife(size=32, length=3)[index]


@pytest.mark.parametrize("index", [0.0, "0", None, slice(0, 2)])
def test_index_must_be_a_whole_number(index):
    with pytest.raises(TypeError, match="StillLife: index must be a whole number, got "):
        StillLife(size=32, length=3)[index]


def test_numpy_and_torch_numbers_are_whole_numbers():
    data = StillLife(size=32, length=3)
    assert same(data[np.int64(1)], data[1])
    assert same(data[torch.tensor(1)], data[1])


def test_collate_needs_an_item():
    with pytest.raises(ValueError, match=r"collate: items must hold at least one pair \(image, target\), got none"):
        collate([])


def test_index_from_the_end_and_iteration():
    data = StillLife(size=32, length=3)
    assert same(data[-1], data[2])
    assert len(list(data)) == 3


# The parts of the renderer.


def test_a_ball_is_lit_as_a_ball():
    n, pixel = 101, 0.02
    y, x = np.mgrid[-1.0:1.0:101j, -1.0:1.0:101j].astype(np.float32)
    field, slope = surface.ball(x, y)
    white = np.ones((3, 1, 1), np.float32)
    lamp = light.draw_light(Random(4))
    cover, layers = surface.shade(surface.Surface(field, slope, white, gloss=0, soft=0), lamp.direction, lamp, pixel)
    assert abs(cover.sum() * pixel**2 - np.pi) < 0.05  # the area of the disc
    assert np.allclose(layers[6], np.sqrt(np.maximum(1 - x * x - y * y, 0)), atol=1e-5)
    brightest = np.unravel_index(layers[0].argmax(), (n, n))
    assert abs(x[brightest] - lamp.direction[0]) < 0.05  # where the normal points to the lamp
    assert abs(y[brightest] - lamp.direction[1]) < 0.05


def test_shadows_fall_away_from_the_lamp():
    lamp = light.draw_light(Random(9))
    high = np.zeros((64, 64), np.float32)
    high[28:36, 28:36] = 12
    seen = light.lamp_visibility(high, lamp)
    assert seen.min() < 0.2
    ys, xs = np.nonzero((seen < 0.5) & (high == 0))
    offset = np.array([xs.mean() - 31.5, ys.mean() - 31.5])
    away = -np.array(lamp.direction[:2])
    assert offset @ away / np.linalg.norm(offset) / np.linalg.norm(away) > 0.97


def test_bent_slopes_are_derivatives():
    y, x = np.mgrid[-0.8:0.8:321j, -0.4:0.4:161j].astype(np.float32)
    knots = ((-1.0, 0.0), (-0.5, 0.5), (0.0, 0.6), (0.5, 0.5), (1.0, 0.0))
    field, (fx, fy), _ = surface.revolve(x, y, knots, bend=0.2)
    dy, dx = np.gradient(field.astype(np.float64), 0.005)
    assert np.abs(dx - fx)[2:-2, 2:-2].max() < 0.02
    assert np.abs(dy - fy)[2:-2, 2:-2].mean() < 0.05


def test_upsample_keeps_constants_and_pool_means():
    ones = np.full((2, 5, 7), 3, np.float32)
    assert np.allclose(noise.upsample(ones, 20, 31), 3, atol=1e-5)
    a = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert np.array_equal(noise.pool(a, 2), a.reshape(2, 2, 3, 2).mean((1, 3)))


def test_turn_is_close_to_the_angle():
    t = np.linspace(0, 1, 400, endpoint=False)
    got = noise.turn(np.cos(2 * np.pi * t).astype(np.float32), np.sin(2 * np.pi * t).astype(np.float32))
    assert np.abs((got - t + 0.5) % 1 - 0.5).max() < 0.01


def test_random_is_uniform_and_fixed():
    random = Random(0)
    draws = [random.uniform() for _ in range(2000)]
    assert abs(np.mean(draws) - 0.5) < 0.02
    assert 0 <= min(draws) < max(draws) < 1
    words = np.random.PCG64(np.random.SeedSequence((1, 2, 3))).random_raw(128)
    assert Random(1, 2, 3).word() == int(words[-1])
    assert sorted({Random(5, i).integer(3, 6) for i in range(50)}) == [3, 4, 5]


def test_things_are_not_kinds():
    assert not set(PROPS) & set(StillLife.KINDS)
    assert len(StillLife.KINDS) >= 8
    assert tuple(KIND_COLOURS) == StillLife.KINDS
    assert len(set(KIND_COLOURS.values())) == len(KIND_COLOURS)
