"""The experiments: their data are what they say, their kept results belong to this code, and each still runs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.measure import label as components

from cvlab import _check, experiments
from cvlab.data import StillLife, photos
from cvlab.experiments import augmentation, fruit, rendered, results

crops = fruit.fruit_crops.__wrapped__  # without its memory
cut = rendered.patches.__wrapped__


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def scene(split, index, **options):
    image, target = StillLife(128, split, 0, dtype=torch.uint8, **options)[index]
    return Image.fromarray(image.permute(1, 2, 0).numpy()), target


def tensor(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).int()


def test_crops_depend_on_split_and_seed_alone():
    assert same(crops("test", 6), crops("test", 6))
    assert same([part[:6] for part in crops("test", 9)], crops("test", 6))
    for other in (("train", 6), ("test", 6, 1)):
        assert not torch.equal(crops("test", 6)[0], crops(*other)[0])
    assert [part.shape for part in crops("val", 0)] == [(0, 3, 32, 32), (0,)]


def test_a_crop_is_the_square_around_a_fruit_and_its_label_is_the_kind():
    """Pillow cuts the same squares out, 1.2 times as long as the box's longer side; beyond the picture it is grey."""
    picture, target = scene("test", 0, count=(3, 6))
    count = len(target["boxes"])
    images, kinds = crops("test", count)
    assert kinds.tolist() == [int(kind) - 1 for kind in target["labels"]]
    for image, (x1, y1, x2, y2) in zip(images, target["boxes"].tolist(), strict=True):
        reach = 1.2 * max(x2 - x1, y2 - y1) / 2
        middle = np.array([x1 + x2, y1 + y2]) / 2
        square = *np.round(middle - reach).astype(int).tolist(), *np.round(middle + reach).astype(int).tolist()
        canvas = Image.new("RGB", (384, 384), (114, 114, 114))
        canvas.paste(picture, (128, 128))
        expected = canvas.crop([v + 128 for v in square]).resize((32, 32), Image.Resampling.BILINEAR)
        outside = min(square) < 0 or max(square) > 128
        # where the square leaves the picture, Pillow blends its edge with the grey, and we do not
        assert (image.int() - tensor(expected)).abs().float().mean() <= (6 if outside else 0.6)


def test_all_kinds_are_among_the_crops():
    _, kinds = crops("train", 120)
    assert kinds.unique().tolist() == list(range(10))


def test_patches_depend_on_split_and_seed_alone():
    first = cut("test", 3)
    assert same(first, cut("test", 3))
    assert not torch.equal(first[0], cut("test", 3, 1)[0])
    assert not torch.equal(first[0], cut("train", 3)[0])
    assert first[0].dtype == torch.uint8
    assert first[0].shape == (len(first[1]), 3, 32, 32)
    assert first[1].tolist() == [0, 0, 0, 0, 1, 1, 1, 1] * 3
    assert torch.equal(first[0][:, 0], first[0][:, 1])
    assert torch.equal(first[0][:, 0], first[0][:, 2])


def test_a_patch_is_found_in_its_scene_with_its_label_in_the_middle():
    """Search each patch in the grey picture that Pillow makes; the label map says there what its middle is on."""
    images, labels = cut("test", 12)
    for i in range(12):
        picture, target = scene("test", i, distractors=0)
        windows = torch.from_numpy(np.array(picture.convert("L"))).int().unfold(0, 32, 1).unfold(1, 32, 1)
        for patch, label in zip(images[8 * i : 8 * i + 8, 0], labels[8 * i : 8 * i + 8], strict=True):
            unlike = (windows[:, :, ::8] - patch[::8].int()).abs().sum((2, 3))  # four rows are enough to find it
            y, x = divmod(int(unlike.argmin()), windows.shape[1])
            assert (windows[y, x] - patch.int()).abs().max() <= 1
            assert (target["semantic"][y + 16, x + 16] > 0) == label


def test_the_photograph_has_24_coins_on_the_ground():
    images, labels, (rows, columns) = rendered.coins()
    grey = (photos.load("coins")[0] * 255).round().to(torch.uint8)  # 303 x 384
    assert (rows, columns) == ((303 - 32) // 4 + 1, (384 - 32) // 4 + 1)
    assert images.shape == (rows * columns, 3, 32, 32)
    for row, column in ((0, 0), (10, 20), (rows - 1, columns - 1)):
        for channel in images[row * columns + column]:
            assert torch.equal(channel, grey[4 * row : 4 * row + 32, 4 * column : 4 * column + 32])
    assert labels.unique().tolist() == [-1, 0, 1]
    assert components(labels.reshape(rows, columns).numpy() == 1, connectivity=1).max() == 24
    # coins are bright, and most so compared with the ground where they are said to be, not two patches aside
    light, known = images[:, 0, 16, 16].float().reshape(rows, columns), labels.reshape(rows, columns)

    def contrast(down, right):
        moved = light.roll((down, right), (0, 1))
        return moved[known == 1].mean() - moved[known == 0].mean()

    assert contrast(0, 0) > 50
    assert all(contrast(*aside) < contrast(0, 0) - 5 for aside in ((2, 0), (-2, 0), (0, 2), (0, -2)))
    # between coin and ground there is always a patch that does not count
    for a, b in ((known[1:], known[:-1]), (known[:, 1:], known[:, :-1])):
        assert not bool((a + b == 1)[(a >= 0) & (b >= 0)].any())


def test_balanced_accuracy_by_hand():
    # objects: 0.9 is right, 0.4 is not: 1/2. Ground: 0.6 is wrong, 0.1 and 0.5 are right: 2/3. Mean 7/12
    probability = torch.tensor([0.9, 0.4, 0.6, 0.1, 0.5, 0.99])
    labels = torch.tensor([1, 1, 0, 0, 0, -1])
    assert rendered.balanced_accuracy(probability, labels) == pytest.approx(7 / 12)
    assert rendered.balanced_accuracy(probability[:5], labels[:5]) == pytest.approx(7 / 12)


@pytest.mark.parametrize("label", [0, 1])
def test_balanced_accuracy_refuses_one_class_alone(label):
    with pytest.raises(_check.InputError, match=f"balanced_accuracy: labels must have 0 and 1, got no {label}"):
        rendered.balanced_accuracy(torch.tensor([0.1, 0.9]), torch.tensor([1 - label, -1]))


def test_summary_by_hand():
    # 1, 2, 6: mean 3, deviations -2, -1, 3, sum of squares 14, divided by n - 1 = 2: 7
    mean, spread = experiments.summary([[1, 0.5], [2, 0.5], [6, 0.5]])
    assert mean.tolist() == [3, 0.5]
    assert spread.tolist() == pytest.approx([7**0.5, 0])


def test_results_are_kept_and_read(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    card = results.card(12.6, seeds=[0, 1])
    assert (card["seconds"], card["seeds"], card["still_life_version"]) == (13, [0, 1], StillLife.VERSION)
    assert card["versions"]["torch"] == torch.__version__.split("+")[0]
    kept = {"card": card, "curve": [[0.5, 0.75]]}
    results.save("lost", kept)
    results.save("found", kept)
    assert experiments.load("found") == kept
    message = r"experiments.load: there are \['found', 'lost'\], got 'none'"
    with pytest.raises(ValueError, match=message):
        experiments.load("none")


def curves(results):
    """An experiment's results by name; those of an experiment with one way only have no name."""
    return results if isinstance(results, dict) else {"": results}


@pytest.fixture(scope="module")
def kept():
    return experiments.load("augmentation")


def test_the_kept_results_were_made_by_this_code(kept):
    card = kept["card"]
    assert card["still_life_version"] == StillLife.VERSION, "run python -m cvlab.experiments.augmentation again"
    assert card["seeds"] == list(augmentation.SEEDS)
    assert card["qualities"] == [None, *augmentation.QUALITIES]
    assert card["strengths"] == list(augmentation.STRENGTHS)
    assert card["scalings"] == list(augmentation.SCALINGS)
    assert card["unbalanced"] == {"common": augmentation.COMMON, "rare": augmentation.RARE}


@pytest.mark.parametrize("name", augmentation.EXPERIMENTS)
def test_the_kept_results_are_shares_with_a_row_for_each_seed(kept, name):
    for rows in curves(kept[name]).values():
        assert len(rows) == len(augmentation.SEEDS)
        assert all(0 <= value <= 1 for row in rows for value in row)


def test_there_are_kept_results_of_all_experiments_and_of_no_others(kept):
    assert set(kept) == {"card", *augmentation.EXPERIMENTS}
    assert sum(kept["card"]["seconds_of"].values()) == kept["card"]["seconds"]
    for rows in kept["imbalance"].values():
        for common, rare, mean in rows:
            assert mean == pytest.approx((common + rare) / 2, abs=1e-6)


def noise(split, count, seed=0):
    """Stands for the fruits, without rendering them: as many of each kind, in turn, and at most forty for a test."""
    count = count if split == "train" else min(count, 40)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(seed))
    return images.to(torch.uint8), torch.arange(count) % 10


TINY = {
    "jpeg": lambda: augmentation.jpeg_robustness(0, count=20, epochs=1),
    "strength": lambda: augmentation.strength_curve(0, count=10, epochs=1),
    "scaling": lambda: augmentation.scaling_mismatch(0, count=20, epochs=1),
    "imbalance": lambda: augmentation.imbalance(0, steps=1),
    "rendered": lambda: augmentation.rendered_to_real(0, scenes=1, epochs=1),
}


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_run_has_the_form_of_the_kept_results(name, kept, monkeypatch):
    monkeypatch.setattr(augmentation, "fruit_crops", noise)
    monkeypatch.setattr(augmentation, "COMMON", 6)
    monkeypatch.setattr(augmentation, "RARE", 2)
    monkeypatch.setattr(augmentation, "patches", lambda split, scenes: rendered.patches("val", 2))
    real, labels, grid = rendered.coins()
    monkeypatch.setattr(augmentation, "coins", lambda: (real[::60], labels[::60], grid))
    made = curves(TINY[name]())
    assert all(0 <= value <= 1 for row in made.values() for value in row)
    form = {way: {len(row) for row in rows} for way, rows in curves(kept[name]).items()}
    assert {way: {len(row)} for way, row in made.items()} == form


def test_an_experiment_depends_on_its_seed_alone(monkeypatch):
    monkeypatch.setattr(augmentation, "fruit_crops", noise)
    runs = []
    for seed in (0, 0, 1):
        torch.rand(3)
        runs.append(augmentation.scaling_mismatch(seed, count=30, epochs=2))
    assert runs[0] == runs[1] != runs[2]


def test_the_unbalanced_set_by_hand(monkeypatch):
    """Of 6000 pictures, 600 of each kind, 300 of the kinds 0 to 4 and 15 of 5 to 9 are taken: 5 * 300 + 5 * 15."""
    monkeypatch.setattr(augmentation, "fruit_crops", noise)
    images, kinds = augmentation.unbalanced()
    assert kinds.bincount().tolist() == [300] * 5 + [15] * 5
    assert torch.equal(images[300], noise("train", 6000)[0][1])  # the first of kind 1


def test_jpeg_training_stores_most_pictures():
    images, _ = noise("train", 200)
    torch.manual_seed(0)
    changed = (augmentation.jpeg_training()(images) != images).flatten(1).any(1).float().mean()
    assert changed.item() == pytest.approx(0.8, abs=0.1)  # of 200, the standard deviation is 0.03


def test_by_name_gathers_the_seeds():
    runs = [{"a": [0.1, 0.2], "b": [0.3]}, {"a": [0.4, 0.5], "b": [0.6]}]
    assert augmentation.by_name(runs) == {"a": [[0.1, 0.2], [0.4, 0.5]], "b": [[0.3], [0.6]]}


def test_other_light_and_turns_are_always_the_same():
    images, _ = noise("train", 12)
    torch.manual_seed(0)
    first = augmentation.otherwise(images)
    torch.manual_seed(1)
    assert torch.equal(augmentation.otherwise(images), first)
    assert (first.shape, first.dtype) == (images.shape, images.dtype)
    assert (first != images).flatten(1).any(1).all()


@pytest.fixture
def at_once(tmp_path, monkeypatch):
    """Experiments that answer at once, kept in another folder."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(
        augmentation,
        "EXPERIMENTS",
        {"ways": lambda seed: {"one": [seed / 10, 0.5]}, "single": lambda seed: [seed / 5, 0.25]},
    )
    yield tmp_path / "augmentation.json"
    torch.set_num_threads(threads)


def test_everything_is_run_for_each_seed_and_kept(at_once, capsys):
    augmentation.main()
    assert "augmentation.json" in capsys.readouterr().out
    found = json.loads(at_once.read_text())
    assert found.keys() == {"card", "ways", "single"}
    assert found["ways"] == {"one": [[seed / 10, 0.5] for seed in augmentation.SEEDS]}
    assert found["single"] == [[seed / 5, 0.25] for seed in augmentation.SEEDS]
    assert found["card"]["seconds_of"].keys() == {"ways", "single"}
    test_the_kept_results_were_made_by_this_code(found)


def test_what_is_not_chosen_stays_as_it_was(at_once, monkeypatch):
    augmentation.main()
    monkeypatch.setitem(augmentation.EXPERIMENTS, "ways", lambda seed: {"one": [1.0]})
    monkeypatch.setitem(augmentation.EXPERIMENTS, "single", lambda seed: [1.0])
    augmentation.main(["single"])
    found = json.loads(at_once.read_text())
    assert found["ways"] == {"one": [[seed / 10, 0.5] for seed in augmentation.SEEDS]}
    assert found["single"] == [[1.0]] * len(augmentation.SEEDS)
    assert found["card"]["seconds_of"].keys() == {"ways", "single"}
