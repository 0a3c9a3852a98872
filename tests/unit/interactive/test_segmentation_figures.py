"""The figures of semantic segmentation: their data, and what they refuse."""

from __future__ import annotations

import base64
import io
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from test_figure import state_of

from cvlab import interactive
from cvlab._check import InputError
from cvlab._palette import KINDS
from cvlab.data import StillLife
from cvlab.interactive.label_maps import LONGEST, as_text

H, W = 20, 30
IMAGE = np.full((H, W, 3), 128, dtype=np.uint8)
TRUTH = torch.zeros(H, W, dtype=torch.uint8)
TRUTH[4:14, 6:20] = 1
TRUTH[10:18, 18:28] = 2
FOUND = TRUTH.roll(2, 1)
NAMES = ["table", "apple", "pear"]
NOISE = torch.from_numpy(np.random.default_rng(0).integers(0, 16, (360, 360)))
SCORES = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0))


def read(text: str, base=None, classes: int = 16) -> np.ndarray:
    """Read a label map's text back, row by row."""
    runs = re.findall(r"([A-Z])(\d*)", text)
    assert "".join(letter + length for letter, length in runs) == text
    labels = np.repeat([ord(letter) - 65 for letter, _ in runs], [int(length or 1) for _, length in runs])
    labels = np.where(labels == 25, 255, labels)
    return labels if base is None else (labels + np.asarray(base).ravel()) % classes


# --- texts of label maps ---


def test_label_maps_as_text_by_hand():
    assert as_text(torch.tensor([[0, 0], [0, 3], [15, 255]])) == "A3DPZ"
    assert as_text(torch.zeros(1, 1, dtype=torch.int64)) == "A"
    assert as_text(torch.full((30, 40), 255)) == "Z1200"
    # 2 - 1, 0 - 1 = 2 of three, 1 - 1; and an ignored pixel of the base counts as 0
    assert as_text(torch.tensor([[2, 0, 1, 2]]), torch.tensor([[1, 1, 1, 255]]), classes=3) == "BCAC"


def test_label_maps_come_back():
    labels = torch.from_numpy(np.random.default_rng(1).integers(0, 4, (9, 7)))
    labels[3] = 255
    assert (read(as_text(labels)) == labels.flatten().numpy()).all()
    base = torch.from_numpy(np.random.default_rng(2).integers(0, 4, (9, 7)))
    labels[3] = 2
    assert (read(as_text(labels, base, 4), base, 4) == labels.flatten().numpy()).all()


# --- overlay ---


def overlay(**other):
    return interactive.overlay(**{"image": IMAGE, "truth": TRUTH, "predicted": FOUND, "names": NAMES, **other})


def test_overlay_state():
    state = state_of(overlay(fade=0.25, shown="truth"))
    [one] = state["pictures"]
    assert (read(one["truth"]) == TRUTH.flatten().numpy()).all()
    assert (read(one["found"]) == FOUND.flatten().numpy()).all()
    assert (one["picture"]["height"], one["picture"]["width"]) == (H, W)
    assert (state["fade"], state["shown"], state["names"]) == (0.25, "truth", NAMES)
    assert state["classes"][1:] == [KINDS["apple"], KINDS["pear"]]


def test_overlay_of_several_pictures_of_any_size():
    small = TRUTH[:12, :16]
    figure = overlay(image=[IMAGE, IMAGE[:12, :16]], truth=[TRUTH, small], predicted=(FOUND, small))
    sizes = [(one["picture"]["height"], one["picture"]["width"]) for one in state_of(figure)["pictures"]]
    assert sizes == [(H, W), (12, 16)]
    assert "2 pictures" in figure.alt


def test_overlay_keeps_what_is_ignored():
    truth = TRUTH.clone()
    truth[0] = 255
    assert state_of(overlay(truth=truth))["pictures"][0]["truth"].startswith(f"Z{W}A")


@pytest.mark.parametrize("make", [list, np.array, torch.tensor])
def test_label_maps_may_be_lists_arrays_or_tensors(make):
    kept = [state_of(overlay(truth=make(maps), predicted=make(maps))) for maps in [TRUTH.tolist()]]
    assert kept[0]["pictures"][0]["truth"] == as_text(TRUTH)


def test_classes_without_names():
    state = state_of(overlay(names=None))
    assert state["names"][:2] == ["class 0", "class 1"]
    assert len(set(state["classes"])) == len(state["names"]) == 16


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"truth": TRUTH[1:]}, r"overlay: truth must have shape \(20, 30\), got \(19, 30\)"),
        ({"predicted": FOUND[None]}, r"overlay: predicted must have shape \(20, 30\), got \(1, 20, 30\)"),
        ({"truth": TRUTH + 1}, r"truth\[10, 18\] must be a whole number from 0 to 2, or 255 where ignored, got 3"),
        ({"predicted": FOUND.int() - 1}, r"predicted\[0, 0\] must be a whole number from 0 to 2, got -1"),
        ({"predicted": FOUND / 2}, r"predicted\[4, 8\] must be a whole number from 0 to 2, got 0.5"),
        ({"predicted": np.full((H, W), 255)}, r"predicted\[0, 0\] must be a whole number from 0 to 2, got 255"),
        ({"truth": np.full((H, W), 255)}, "truth must have a pixel that is not ignored"),
        ({"truth": np.full((H, W), math.nan)}, r"truth\[0, 0\] is not finite"),
        ({"image": np.zeros((3, 4))}, r"truth must have shape \(3, 4\), got \(20, 30\)"),
        ({"image": [IMAGE, IMAGE]}, "overlay: truth must be one for each of 2 pictures, got 20"),
        ({"image": []}, "images must be 1 to 6 pictures, got 0"),
        (
            {"image": [IMAGE] * 2, "truth": [TRUTH] * 2, "predicted": [FOUND, FOUND[1:]]},
            "overlay, picture 1: predicted",
        ),
        ({"names": ["table"]}, "names must be 2 strings or more"),
        ({"names": [str(i) for i in range(17)]}, "names must be at most 16, got 17"),
        ({"fade": 1.5}, r"fade must lie in \[0, 1\], got 1.5"),
        ({"shown": "all"}, "shown must be one of prediction, truth, difference, got 'all'"),
        (
            {"image": np.zeros((360, 360)), "truth": NOISE, "predicted": NOISE, "names": None},
            r"overlay: pictures and maps take [23]\d\d,\d{3} characters, 190,000 are the most that fit a page",
        ),
        (
            {"image": np.zeros((4, 513)), "truth": np.zeros((4, 513))},
            r"truth must have 1 to 512 pixels a side, got \(4, 513\)",
        ),
    ],
)
def test_overlay_refuses(other, message):
    with pytest.raises(InputError, match=message):
        overlay(**other)


# --- tiles ---

MAPS = {(8, 0): FOUND, (12, 4): TRUTH, (8, 2): TRUTH}


def tiles(**other):
    return interactive.tiles(**{"image": IMAGE, "predictions": MAPS, "whole": TRUTH, "names": NAMES, **other})


def test_tiles_state():
    state = state_of(tiles())
    assert (read(state["whole"]) == TRUTH.flatten().numpy()).all()
    assert [(one["tile"], one["overlap"]) for one in state["maps"]] == [(8, 0), (8, 2), (12, 4)]
    assert (read(state["maps"][0]["text"], TRUTH, 3) == FOUND.flatten().numpy()).all()
    assert state["maps"][1]["text"] == f"A{H * W}"
    assert (state["start"], state["stride"]) == (0, 1)


def test_tiles_may_begin_with_any_pair():
    assert state_of(tiles(tile=12))["start"] == 2
    assert state_of(tiles(tile=8, overlap=2))["start"] == 1
    assert state_of(tiles(overlap=2))["start"] == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"predictions": {}}, "predictions must be a dictionary of 1 to 36 label maps, got 0"),
        ({"predictions": [FOUND]}, "predictions must be a dictionary of 1 to 36 label maps, got list"),
        ({"predictions": {8: FOUND}}, r"each key of predictions must be \(tile, overlap\) in pixels, got 8"),
        ({"predictions": {(8, 0.5): FOUND}}, r"each key of predictions must be .* got \(8, 0.5\)"),
        ({"predictions": {(8, 8): FOUND}}, r"tiles: predictions\[8, 8\] cannot be: .*overlap must be smaller"),
        ({"stride": 16}, r"tiles: predictions\[8, 0\] cannot be: .*must not be smaller than the network's stride 16"),
        ({"predictions": {(8, 0): FOUND[1:]}}, r"predictions\[8, 0\] must have shape \(20, 30\), got \(19, 30\)"),
        (
            {"predictions": {(8, 0): FOUND + 1}},
            r"predictions\[8, 0\]\[10, 20\] must be a whole number .* got 3",
        ),
        ({"whole": TRUTH.float() + 0.5}, r"whole\[0, 0\] must be a whole number from 0 to 2, got 0.5"),
        ({"stride": 0}, "stride must be a whole number from 1 to 512, got 0"),
        ({"tile": 9}, r"there is no label map for tile 9 and overlap None, only for \[\(8, 0\), \(8, 2\), \(12, 4\)\]"),
        ({"tile": 12, "overlap": 2}, "there is no label map for tile 12 and overlap 2"),
    ],
)
def test_tiles_refuses(other, message):
    with pytest.raises(InputError, match=message):
        tiles(**other)


# --- class weights ---


def class_weights(**other):
    maps = [TRUTH.roll(1, 1), FOUND, TRUTH]
    given = {"image": IMAGE, "truth": TRUTH, "predictions": maps, "weights": [0.5, 2, 8], "names": NAMES, **other}
    return interactive.class_weights(**given)


def test_class_weights_state():
    truth = TRUTH.clone()
    truth[:2] = 255
    state = state_of(class_weights(truth=truth, label=2))
    assert (read(state["truth"]) == truth.flatten().numpy()).all()
    counted = truth.flatten().numpy() != 255
    got = read(state["maps"][1], truth.where(truth != 255, 0), 3)
    assert (got == FOUND.flatten().numpy())[counted].all()
    assert state["maps"][2] == f"A{H * W}"
    assert (state["weights"], state["label"]) == ([0.5, 2.0, 8.0], 2)


def test_class_weights_begin_nearest_to_one():
    assert state_of(class_weights())["start"] == 0
    assert state_of(class_weights(weights=[0.1, 1.2, 8]))["start"] == 1
    assert state_of(class_weights(start=2))["start"] == 2


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"weights": [1, 2]}, "class_weights: predictions must be one for each of 2 weights, got 3"),
        ({"weights": [1, 3, 3]}, "weights must ascend, got 3 before 3 at 2"),
        ({"weights": [0, 1, 2]}, r"weights\[0\] must be finite and above 0, got 0"),
        ({"weights": 3}, "weights must be a sequence of numbers, got 3"),
        ({"weights": [1], "predictions": [FOUND]}, "weights must be 2 to 16, got 1"),
        ({"predictions": None}, "predictions must be one for each of 3 weights, got NoneType"),
        ({"predictions": [TRUTH, TRUTH, TRUTH * 2]}, r"predictions\[2\]\[10, 18\] must be a whole number from 0 to 2"),
        ({"predictions": [TRUTH, TRUTH[1:], TRUTH]}, r"predictions\[1\] must have shape \(20, 30\), got \(19, 30\)"),
        ({"label": 0}, "label must be a whole number from 1 to 2, got 0"),
        ({"label": 2, "truth": TRUTH % 2}, r"truth must have a pixel of label 2 \(pear\)"),
        ({"start": 3}, "start must be a whole number from 0 to 2, got 3"),
        ({"truth": TRUTH + 9}, r"truth\[0, 0\] must be a whole number from 0 to 2, or 255 where ignored, got 9"),
    ],
)
def test_class_weights_refuses(other, message):
    with pytest.raises(InputError, match=message):
        class_weights(**other)


# --- upsampling path ---


def path(**other):
    given = {"image": IMAGE, "scores": [("coarse", SCORES), ("fine", SCORES.repeat(1, 4, 5))], "names": NAMES, **other}
    return interactive.upsampling_path(**given)


def grey(step: dict) -> np.ndarray:
    data = base64.b64decode(step["src"].removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)))


def test_upsampling_path_state():
    state = state_of(path(truth=TRUTH, start=1))
    probabilities = SCORES.double().softmax(0).numpy()
    first, second = state["steps"]
    assert (first["title"], first["rows"], first["columns"]) == ("coarse", 5, 6)
    assert (second["rows"], second["columns"]) == (20, 30)
    assert (read(first["labels"]) == probabilities.argmax(0).ravel()).all()
    assert state["kept"] == [0, 1, 2]
    kept = (grey(first).reshape(3, 5, 6) + 0.5) / 256
    assert np.abs(kept - probabilities).max() <= 1 / 512 + 1e-9
    assert (read(state["truth"]) == TRUTH.flatten().numpy()).all()
    shares = [(probabilities.argmax(0) == c).sum() for c in (1, 2)]
    assert (state["label"], state["start"]) == (1 + int(np.argmax(shares)), 1)


def test_probabilities_are_taken_as_they_are():
    given = SCORES.softmax(0)
    state = state_of(path(scores=[("a", given), ("b", given)], logits=False))
    assert state["steps"][0] == {**state_of(path())["steps"][0], "title": "a"}


def test_only_the_classes_that_occur_most_are_kept():
    scores = torch.zeros(16, 10, 10)
    for c in range(1, 16):
        scores[c, :c, c % 10] = 5.0 + c  # a class has more cells the larger its number
    state = state_of(interactive.upsampling_path(IMAGE, [("a", scores), ("b", scores)], label=15))
    found = scores.argmax(0)
    counts = [int((found == c).sum()) for c in range(16)]
    others = sorted((c for c in range(1, 15)), key=lambda c: -counts[c])
    assert state["kept"] == sorted([0, 15, *others[:6]])
    assert len(state["names"]) == 16
    assert state["label"] == 15


def test_a_label_that_never_wins_can_be_shown():
    scores = torch.zeros(3, 4, 4)
    scores[0] = 1
    state = state_of(path(scores=[("a", scores), ("b", scores)], label=2))
    assert (state["kept"], state["label"]) == ([0, 2], 2)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"scores": [("a", SCORES)]}, r"scores must be 2 to 12 pairs \(title, scores\), got 1"),
        ({"scores": SCORES}, r"scores must be 2 to 12 pairs \(title, scores\), got 3"),
        ({"scores": None}, "got NoneType"),
        ({"scores": [SCORES, SCORES]}, r"scores\[0\] must be a pair \(title, scores\), got Tensor"),
        ({"scores": [("a", SCORES), ("b", SCORES[:2])]}, r"scores\[1\] must have shape \(3, h, w\), got \(2, 5, 6\)"),
        ({"scores": [("a", SCORES[0]), ("b", SCORES)]}, r"scores\[0\] must have shape \(3, h, w\), got \(5, 6\)"),
        (
            {"scores": [("a", SCORES), ("b", SCORES.repeat(1, 5, 1))]},
            r"scores\[1\] must be of 2 to 16 classes in 1 to 20 x 30 cells, got \(3, 25, 6\)",
        ),
        (
            {"scores": [("a", SCORES[:1]), ("b", SCORES[:1])], "names": None},
            "must be of 2 to 16 classes",
        ),
        ({"scores": [("a", SCORES), ("b", SCORES * math.inf)]}, r"scores\[1\]\[0, 0, 0\] is not finite"),
        ({"logits": False}, r"scores\[0\]\[0, 0, \d\] must lie in \[0, 1\]"),
        ({"names": NAMES[:2]}, r"scores\[0\] must have shape \(2, h, w\), got \(3, 5, 6\)"),
        ({"label": 3}, "label must be a whole number from 0 to 2, got 3"),
        ({"start": 2}, "start must be a whole number from 0 to 1, got 2"),
        ({"truth": TRUTH[1:]}, r"truth must have shape \(20, 30\), got \(19, 30\)"),
        ({"truth": TRUTH * 2}, r"truth\[10, 18\] must be a whole number from 0 to 2, or 255 where ignored, got 4"),
    ],
)
def test_upsampling_path_refuses(other, message):
    with pytest.raises(InputError, match=message):
        path(**other)


def test_scores_too_large_for_a_page():
    noise = torch.rand(8, 160, 160, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="pictures and maps take .* characters, 190,000 are the most"):
        interactive.upsampling_path(np.zeros((160, 160)), [("a", noise), ("b", noise)])


# --- the size of a page ---


def test_pages_stay_small():
    """With as much as is let through, a figure is below 250 kB."""
    stripes = np.tile(np.arange(300) // 5 % 2, (300, 1))  # 60 runs of two characters in each row
    maps = [stripes, stripes, stripes[:170]]
    figure = interactive.overlay([np.zeros(one.shape) for one in maps], maps, maps)
    texts = [text for one in figure.state["pictures"] for text in (one["picture"]["src"], one["truth"], one["found"])]
    assert 0.96 * LONGEST < sum(map(len, texts)) <= LONGEST
    assert len(figure._repr_html_().encode()) < 250_000


def test_a_still_life_takes_few_bytes():
    images, targets = zip(*(StillLife(128, "val")[i] for i in range(6)), strict=True)
    truths = [target["semantic"] for target in targets]
    names = ["table", *StillLife(128, "val").kinds]
    found = [truth.roll(1, 0) for truth in truths]
    assert len(interactive.overlay(images, truths, found, names)._repr_html_()) < 100_000
