"""The figures of semantic segmentation in a browser: hands move them, numpy says what they must show."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest
import test_figures as every
import torch
from every_figure import rules_for
from scipy import ndimage
from test_figures import press, shown, values
from test_figures_storage import pixels, point, slide

from cvlab import interactive
from cvlab._palette import KINDS, ROLES
from cvlab.data import StillLife
from cvlab.interactive.label_maps import as_text
from cvlab.interactive.mask_jpeg import GROUND
from cvlab.ops import tile_starts

pytestmark = pytest.mark.browser
watched, call = every.watched, every.call  # fixtures

STILL_LIFE = StillLife(size=96, split="val")
NAMES = ["table", *STILL_LIFE.kinds]
K = len(NAMES)


def still_life(i: int) -> tuple[torch.Tensor, np.ndarray]:
    image, target = STILL_LIFE[i]
    return image, target["semantic"].numpy().astype(int)


def smooth(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.normal(size=shape), (0, width, width))
    return field / field.std()


def logits_of(labels: np.ndarray, seed: int = 0, noise: float = 1.0) -> np.ndarray:
    """Scores (K, H, W) as a network might give them: blurred truth and smooth noise."""
    classes = np.stack([ndimage.gaussian_filter((labels == c).astype(float), 2) for c in range(K)])
    return 6 * classes + noise * smooth(np.random.default_rng(seed), (K, *labels.shape), 4)


IMAGE, TRUTH = still_life(3)
LOGITS = logits_of(TRUTH)
FOUND = LOGITS.argmax(0)
IGNORING = np.where(np.indices(TRUTH.shape)[0] < 9, 255, TRUTH)
OTHER, OTHER_TRUTH = still_life(2)
LABEL = int(np.bincount(TRUTH.flatten(), minlength=K)[1:].argmax()) + 1  # the class of the most pixels

WEIGHTS = [0.1, 0.5, 1.0, 4.0, 30.0]
WEIGHTED = [(LOGITS + np.log(w) * (np.arange(K) == LABEL)[:, None, None]).argmax(0) for w in WEIGHTS]


def put_together(tile: int, overlap: int) -> np.ndarray:
    """A label map with mistakes where tiles begin, the fewer the more they overlap."""
    rng, found = np.random.default_rng(tile + overlap), FOUND.copy()
    for start in tile_starts(96, tile, overlap, 8)[1:]:
        wrong = rng.random((2, 96)) < 0.5 / (1 + overlap)
        found[start : start + 2][wrong] = 3
        found[:, start : start + 2][wrong.T] = 4
    return found


PAIRS = [(t, o) for t in (32, 48, 64) for o in (0, 8, 16, 24) if o < 24 or t > 32]
TILED = {pair: put_together(*pair) for pair in PAIRS}


def steps_of() -> list[tuple[str, np.ndarray]]:
    """The way up: means of the scores over blocks of 32, 16 and 8 pixels, and the scores themselves."""
    means = [LOGITS.reshape(K, 96 // s, s, 96 // s, s).mean((2, 4)) for s in (32, 16, 8)]
    return list(zip(["coarsest", "finer", "finest", "pixels"], [*means, LOGITS], strict=True))


STEPS = steps_of()
FIGURES = {
    "overlay": lambda: interactive.overlay([IMAGE, OTHER], [IGNORING, OTHER_TRUTH], [FOUND, OTHER_TRUTH], NAMES),
    "tiles": lambda: interactive.tiles(IMAGE, TILED, FOUND, NAMES, stride=8),
    "class_weights": lambda: interactive.class_weights(IMAGE, IGNORING, WEIGHTED, WEIGHTS, NAMES, label=LABEL, start=0),
    "upsampling_path": lambda: interactive.upsampling_path(IMAGE, STEPS, NAMES, truth=IGNORING),
}


def colour(hexadecimal: str) -> list[int]:
    return [int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5)]


CLASSES = np.array([colour(GROUND), *(colour(KINDS[name]) for name in NAMES[1:])])
VERMILION = colour(ROLES["prediction"])


def confusion(truth: np.ndarray, found: np.ndarray, classes: int = K) -> np.ndarray:
    counted = truth != 255
    return np.bincount(classes * truth[counted] + found[counted], minlength=classes**2).reshape(classes, classes)


def ious(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The IoU of each class, NaN of one that does not occur."""
    counts = confusion(truth, found)
    with np.errstate(invalid="ignore"):
        return counts.diagonal() / (counts.sum(0) + counts.sum(1) - counts.diagonal())


def at_border(labels: np.ndarray) -> np.ndarray:
    return ndimage.maximum_filter(labels, 3, mode="nearest") != ndimage.minimum_filter(labels, 3, mode="nearest")


def number(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


# --- the functions of the scripts ---


def random_maps(count: int, classes: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of label maps with 255 in the first of some, of sizes from one pixel on."""
    rng, pairs = np.random.default_rng(5), []
    for i in range(count):
        size = (1, 1) if i == 0 else tuple(rng.integers(1, 14, 2))
        truth, found = rng.integers(0, classes, (2, *size))
        if i % 2:
            truth = np.where(rng.random(size) < 0.2, 255, truth)
        pairs.append((truth, found))
    return pairs


def flat(labels: np.ndarray) -> list[int]:
    return np.where(labels == 255, 25, labels).flatten().tolist()  # as a script has it: the letter Z is 25


@pytest.mark.parametrize("name", FIGURES)
def test_label_maps_are_read(call, name):
    maps = [truth for truth, _ in random_maps(40)] + [np.zeros((50, 50), int), TRUTH]
    texts = [[as_text(torch.from_numpy(labels))] for labels in maps]
    for labels, got in zip(maps, call(name, "(text) => [...unroll(text)]", texts), strict=True):
        assert got == flat(labels)


def test_confusion_fit_and_borders_are_those_of_numpy(call):
    pairs = random_maps(60)
    cases = [(flat(truth), flat(found), 4) for truth, found in pairs]
    counts = call("overlay", "confusion", cases)
    fits = call("overlay", "(...all) => fits(confusion(...all))", cases)
    edges = call("overlay", "(labels, width) => [...borders(labels, width)]", [(flat(t), t.shape[1]) for t, _ in pairs])
    for (truth, found), mine, fit, edge in zip(pairs, counts, fits, edges, strict=True):
        want = confusion(truth, found, 4)
        assert mine == want.tolist()
        assert [one["truth"] for one in fit] == want.sum(1).tolist()
        assert [one["found"] for one in fit] == want.sum(0).tolist()
        for c, one in enumerate(fit):
            counted = truth != 255
            union = ((truth == c) | (found == c))[counted].sum()
            assert one["iou"] == (pytest.approx(want[c, c] / union) if union else None)
        assert edge == at_border(truth).flatten().tolist()


def test_mistakes_are_the_regions_that_scipy_finds(call):
    pairs = random_maps(60)
    cases = [(flat(truth), flat(found), truth.shape[1]) for truth, found in pairs]
    for (truth, found), got in zip(pairs, call("overlay", "mistakes", cases), strict=True):
        wanted = set()
        for kind in {(t, f) for t, f in zip(truth.flat, found.flat, strict=True) if t not in (f, 255)}:
            regions, count = ndimage.label((truth == kind[0]) & (found == kind[1]))
            wanted |= {frozenset(np.flatnonzero(regions == n + 1).tolist()) for n in range(count)}
        assert {frozenset(region) for region in got} == wanted
        assert [len(region) for region in got] == sorted(map(len, wanted), reverse=True)
    region = [0, 1, 2, 10, 20]  # of a map ten wide: the middle is x = 0.6, y = 0.6, and the nearest of it x = 1, y = 0
    assert call("overlay", "heart", [[region, 10]]) == [[1, 0]]


def test_tiles_lie_where_python_puts_them(call):
    rng, cases = np.random.default_rng(6), []
    while len(cases) < 400:
        size, tile, stride = (int(n) for n in (rng.integers(1, 200), rng.integers(1, 100), rng.choice([1, 2, 8, 32])))
        case = (size, tile, int(rng.integers(0, tile)), stride)
        try:
            starts = tile_starts(*case)
        except ValueError:
            continue
        cases.append((case, starts))
    for (case, starts), got in zip(cases, call("tiles", "spans", [case for case, _ in cases]), strict=True):
        assert got == [[start, min(start + case[1], case[0])] for start in starts]


def tallied(differs: np.ndarray, tile: int, overlap: int, stride: int, reach: int) -> dict:
    """What of the pixels differs, and what is near a tile's edge."""
    parts = [[(a, min(a + tile, size)) for a in tile_starts(size, tile, overlap, stride)] for size in differs.shape]
    near = []
    for spans, size in zip(parts, differs.shape, strict=True):
        edges = np.array([at for span in spans for at in span if 0 < at < size], dtype=float)
        near.append((np.abs(np.arange(size)[:, None] + 0.5 - edges) < reach).any(1))
    close = near[0][:, None] | near[1]
    lengths = [sum(b - a for a, b in spans) for spans in parts]
    return {
        "tiles": len(parts[0]) * len(parts[1]),
        "computed": lengths[0] * lengths[1],
        "differ": int(differs.sum()),
        "near": int(close.sum()),
        "differNear": int((close & differs).sum()),
    }


def test_a_class_is_measured_as_in_numpy(call):
    pairs = random_maps(60)
    cases = [(flat(truth), flat(found), 2) for truth, found in pairs]
    for (truth, found), got in zip(pairs, call("class_weights", "measure", cases), strict=True):
        counts = confusion(truth, found, 4)
        right, wrong, missed = counts[2, 2], counts[:, 2].sum() - counts[2, 2], counts[2].sum() - counts[2, 2]
        assert (got["right"], got["false"], got["missed"]) == (right, wrong, missed)
        for name, whole in [("precision", right + wrong), ("recall", right + missed), ("iou", right + wrong + missed)]:
            assert got[name] == (pytest.approx(right / whole) if whole else None)


def test_lines_of_equal_iou(call):
    for iou, line in zip((0.2, 0.5, 0.9), call("class_weights", "alike", [[0.2], [0.5], [0.9]]), strict=True):
        recall, precision = np.array(line).T
        assert 1 / (1 / recall + 1 / precision - 1) == pytest.approx(iou)
        assert line[0] == pytest.approx([iou, 1])
        assert line[-1] == pytest.approx([1, iou])
    assert call("class_weights", "floorOf", [[[0.61, 0.9]], [[0.6]], [[1]], [[0]], [[]]]) == [0.6, 0.6, 0.8, 0, 0.8]


def test_cells_are_enlarged_and_compared_as_in_numpy(call):
    rng, cases = np.random.default_rng(7), []
    for _ in range(40):
        rows, columns, height, width = (int(n) for n in (*rng.integers(1, 6, 2), *rng.integers(6, 30, 2)))
        cases.append((rng.integers(0, 4, rows * columns).tolist(), rows, columns, height, width))
    for (labels, rows, columns, height, width), got in zip(
        cases, call("upsampling_path", "enlarge", cases), strict=True
    ):
        places = [((np.arange(n) + 0.5) * cells / n).astype(int) for n, cells in ((height, rows), (width, columns))]
        assert got == np.array(labels).reshape(rows, columns)[np.ix_(*places)].flatten().tolist()
    pairs = [pair for pair in random_maps(60) if (pair[0] != 255).any()]
    cases = [(flat(truth), flat(found), K) for truth, found in pairs]
    for (truth, found), got in zip(pairs, call("upsampling_path", "meanIou", cases), strict=True):
        assert got == pytest.approx(np.nanmean(ious(truth, found)))


def test_the_heat_map_has_the_colours_of_the_plots(call):
    shares = np.linspace(0, 1, 21)
    got = np.array(call("upsampling_path", "heat", [[share] for share in shares.tolist()]))
    want = 255 * matplotlib.colormaps["viridis"](shares)[:, :3]
    assert np.abs(got - want).max() < 12


# --- overlay ---


def check_overlay(figure) -> dict:
    """Compare every number that the figure shows with numpy's."""
    now = values(figure)
    truth, found = [(IGNORING, FOUND), (OTHER_TRUTH, OTHER_TRUTH)][now["chosen"]]
    counted, wrong = truth != 255, (truth != found) & (truth != 255)
    counts, fit = confusion(truth, found), ious(truth, found)
    present = np.flatnonzero(~np.isnan(fit))
    assert now["counts"] == counts.tolist()
    assert [now["iou"][c] for c in present] == pytest.approx(fit[present].tolist())
    assert now["miou"] == pytest.approx(fit[present].mean())
    expected = (wrong.sum(), (wrong & at_border(truth)).sum(), counted.sum())
    assert (now["wrong"], now["atBorder"], now["counted"]) == expected

    rows = figure.locator("table tbody tr")
    assert shown(figure, "tbody th") == [*(NAMES[c] for c in present), "mean"]
    cells = [number(text) for text in shown(figure, "tbody td")]
    assert cells[0:-1:3] == counts.sum(1)[present].tolist()
    assert cells[1:-1:3] == counts.sum(0)[present].tolist()
    assert [*cells[2:-1:3], cells[-1]] == pytest.approx([*fit[present], fit[present].mean()], abs=5.1e-3)
    total = shown(figure, ".total")[0].replace(",", "")
    assert [int(part) for part in re.findall(r"\b\d+(?![.\d])(?! %)", total)] == [expected[0], expected[2], expected[1]]

    x, y = now["at"]
    t, f = int(truth[y, x]), int(found[y, x])
    assert now["pixel"] == {"truth": None if t == 255 else t, "found": f}
    word = "ignored" if t == 255 else NAMES[t]
    verdict = "not counted" if t == 255 else "right ✓" if t == f else "wrong ✗"
    assert shown(figure, ".status")[0] == f"Row {y}, column {x}: truth {word}, prediction {NAMES[f]}, {verdict}"
    marked = rows.evaluate_all("all => all.map((row) => row.classList.contains('now'))")
    assert {int(c) for c, on in zip(present, marked, strict=False) if on} == {t, f} - {255}
    return now


def labels_over(figure) -> tuple[np.ndarray, np.ndarray]:
    """The colours of the label map over the picture that is shown, and its opacity."""
    canvas = figure.locator(".frame:not([hidden]) > canvas")
    return pixels(canvas), float(canvas.evaluate("node => getComputedStyle(node).opacity"))


def test_what_lies_over_the_picture(watched):
    figure = watched().show(FIGURES["overlay"]())
    check_overlay(figure)
    got, opacity = labels_over(figure)
    assert (got == CLASSES[FOUND]).all()
    assert opacity == pytest.approx(0.6)
    slide(figure, "how much of it", 1)
    figure.get_by_label("the truth", exact=True).check()
    got, opacity = labels_over(figure)
    assert opacity == 1
    counted = IGNORING != 255
    assert (got[counted] == CLASSES[TRUTH][counted]).all()
    assert (got[~counted] == 140).all()
    figure.get_by_label("where they differ", exact=True).check()
    got, _ = labels_over(figure)
    assert ((got == VERMILION).all(2) == ((FOUND != TRUTH) & counted)).all()
    assert check_overlay(figure)["shown"] == "difference"
    slide(figure, "how much of it", 0)
    assert labels_over(figure)[1] == 0


def loupe_at(figure) -> tuple[float, float, float]:
    """The middle of the loupe, in pixels of the picture, and its radius."""
    box, frame = (figure.locator(f".frame:not([hidden]){part}").bounding_box() for part in (" .loupe", ""))
    scale = frame["width"] / 96
    middle = [box[side] - frame[side] + box[length] / 2 for side, length in (("x", "width"), ("y", "height"))]
    return middle[0] / scale, middle[1] / scale, box["width"] / 2 / scale


def test_the_loupe_follows_mouse_and_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["overlay"]())
    hand = figure.locator(".frame:not([hidden]) .hand")
    point(one.page, hand, 40.5 / 96, 50.5 / 96)
    assert check_overlay(figure)["at"] == [40, 50]
    assert loupe_at(figure)[:2] == pytest.approx([40.5, 50.5], abs=0.5)
    hand.focus()
    press(one.page, "ArrowRight", "Shift+ArrowDown", "ArrowUp")
    assert check_overlay(figure)["at"] == [41, 59]
    label = hand.get_attribute("aria-label")
    assert label.startswith("the prediction over the picture. Row 59, column 41: truth ")
    press(one.page, *["Shift+ArrowUp"] * 7)
    assert check_overlay(figure)["at"] == [41, 0]  # an ignored pixel
    x, y, radius = loupe_at(figure)
    assert x == pytest.approx(41.5, abs=0.5)
    assert y == pytest.approx(radius, abs=1)  # it stays inside the picture
    assert one.page.evaluate("scrollY") == 0


def test_the_loupe_shows_pixels_as_they_are(watched):
    """With the labels in full, the middle of each enlarged pixel has its label's colour."""
    one = watched()
    figure = one.show(FIGURES["overlay"]())
    slide(figure, "how much of it", 1)
    x, y = values(figure)["at"]
    glass = pixels(figure.locator(".frame:not([hidden]) .loupe canvas")).astype(int)
    middles = ((np.arange(13) + 0.5) * len(glass) / 13).astype(int)
    got = glass[np.ix_(middles, middles)]
    for n in range(1, 12):
        for m in range(1, 12):
            v, u = y + n - 6, x + m - 6
            if 0 <= v < 96 and 0 <= u < 96:
                assert np.abs(got[n, m] - CLASSES[FOUND[v, u]]).max() <= 2


def test_from_mistake_to_mistake(watched):
    figure = watched().show(FIGURES["overlay"]())
    go, back = (figure.get_by_role("button", name=name) for name in ("Next mistake", "One back"))
    now = check_overlay(figure)
    sizes = now["mistakes"]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == now["wrong"]
    assert now["mistake"] == 0
    assert back.is_disabled()
    for n in range(1, 4):
        go.click()
        now = check_overlay(figure)
        assert now["mistake"] == n
        assert now["pixel"]["truth"] != now["pixel"]["found"]
        text = shown(figure, ".side .note")[0]
        assert text.startswith(f"Mistake {n + 1} of {len(sizes)}, the largest first: {sizes[n]} pixel")
        assert f"of {NAMES[now['pixel']['truth']]} taken for {NAMES[now['pixel']['found']]}." in text
    back.click()
    assert check_overlay(figure)["mistake"] == 2


def test_another_picture(watched):
    figure = watched().show(FIGURES["overlay"]())
    figure.get_by_role("button", name="Picture 2").click()
    now = check_overlay(figure)
    assert (now["chosen"], now["wrong"], now["miou"], now["at"]) == (1, 0, 1, [48, 48])
    assert shown(figure, ".side .note") == ["There is no mistake in this picture."]
    assert figure.get_by_role("button", name="Next mistake").is_disabled()
    assert shown(figure, ".thumb > span")[0] == f"mean IoU {np.nanmean(ious(IGNORING, FOUND)):.2f}"
    pressed = figure.locator(".thumb").evaluate_all("all => all.map((node) => node.getAttribute('aria-pressed'))")
    assert pressed == ["false", "true"]


def test_a_single_picture_has_no_buttons(watched):
    figure = watched().show(interactive.overlay(IMAGE, TRUTH, FOUND, NAMES))
    assert figure.locator(".thumb").count() == 0


def test_a_finger_does_not_hide_what_the_loupe_shows(watched):
    one = watched(has_touch=True, viewport={"width": 390, "height": 900})
    figure = one.show(FIGURES["overlay"]())
    hand = figure.locator(".frame:not([hidden]) .hand")
    box = hand.bounding_box()
    one.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 0.75 * box["height"])
    x, y = check_overlay(figure)["at"]
    assert (x, y) == pytest.approx((48, 72), abs=1)
    assert loupe_at(figure)[1] < y - loupe_at(figure)[2]  # wholly above the finger


# --- tiles ---


def check_tiles(figure) -> dict:
    """Compare every number that the figure shows with numpy's."""
    now = values(figure)
    tile, overlap = now["tile"], now["overlap"]
    labels = TILED[tile, overlap]
    want = tallied(labels != FOUND, tile, overlap, 8, 8)
    assert {name: now[name] for name in want} == want
    starts = tile_starts(96, tile, overlap, 8)
    assert now["starts"] == [starts, starts]
    x, y = now["at"]
    assert now["pixel"] == {"tiles": labels[y, x], "whole": FOUND[y, x]}
    boxes = [[u, v, min(u + tile, 96), min(v + tile, 96)] for v in starts for u in starts]
    having = [box for box in boxes if box[0] <= x < box[2] and box[1] <= y < box[3]]
    assert now["having"] == having
    assert figure.locator(".tile").count() == len(boxes)
    assert figure.locator(".holds:not(.casing)").count() == len(having)

    share = f"{100 * want['differ'] / 96**2:.1f}\u00a0%"
    assert shown(figure, ".total")[0].replace(",", "") == (
        f"{want['differ']} of 9216 pixels differ from the prediction of the whole ({share})"
    )
    cells = [text.replace(",", "") for text in shown(figure, "td")]
    assert cells == [
        f"{len(starts)} × {len(starts)} = {want['tiles']}",
        f"{want['computed'] / 96**2:.2f} × the picture",
        f"{want['differNear']} of {want['differ']}",
        f"{100 * want['near'] / 96**2:.1f}\u00a0%",
    ]
    words = shown(figure, ".status")[0]
    many = f"{len(having)} tile{'s' if len(having) > 1 else ''}"
    end = "." if labels[y, x] == FOUND[y, x] else ": a difference."
    assert words == (
        f"Row {y}, column {x} lies in {many}: tiles say {NAMES[labels[y, x]]}, the whole says {NAMES[FOUND[y, x]]}{end}"
    )
    return now


def test_size_and_overlap_of_tiles(watched):
    one = watched()
    figure = one.show(FIGURES["tiles"]())
    now = check_tiles(figure)
    assert (now["tile"], now["overlap"]) == (32, 0)
    assert now["pixel"]["tiles"] != now["pixel"]["whole"]  # it starts at a seam
    visited = set()
    for i, tile in enumerate((32, 48, 64)):
        slide(figure, "side of a tile", i)
        overlaps = [o for t, o in PAIRS if t == tile]
        assert figure.get_by_role("slider", name="overlap").get_attribute("max") == str(len(overlaps) - 1)
        for j in range(len(overlaps)):
            slide(figure, "overlap", j)
            now = check_tiles(figure)
            visited.add((now["tile"], now["overlap"]))
            assert shown(figure, ".slider output") == [str(tile), str(overlaps[j])]
    assert visited == set(PAIRS)
    slide(figure, "side of a tile", 0)  # which has no overlap of 24: the nearest is taken
    assert check_tiles(figure)["overlap"] == 16
    figure.get_by_role("slider", name="overlap").focus()
    press(one.page, "Home", "ArrowRight")
    assert check_tiles(figure)["overlap"] == 8


def test_seams_are_vermilion(watched):
    figure = watched().show(FIGURES["tiles"]())
    canvas = figure.locator(".maps canvas")
    differs = TILED[32, 0] != FOUND
    assert ((pixels(canvas) == VERMILION).all(2) == differs).all()
    figure.get_by_label("mark the pixels that differ").uncheck()
    assert (pixels(canvas) == CLASSES[TILED[32, 0]]).all()
    figure.get_by_label("the whole at once").check()
    assert (pixels(canvas) == CLASSES[FOUND]).all()
    assert figure.get_by_label("mark the pixels that differ").is_disabled()
    assert figure.locator(".thin").count() == 1
    figure.get_by_label("edges of the tiles").uncheck()
    assert figure.locator(".thin").count() == 0


def test_pointing_at_a_picture_shows_the_tiles_of_a_pixel(watched):
    one = watched()
    figure = one.show(FIGURES["tiles"]())
    slide(figure, "overlap", 2)
    point(one.page, figure.locator(".maps svg").nth(1), 20.5 / 96, 20.5 / 96)
    now = check_tiles(figure)
    assert now["at"] == [20, 20]
    assert now["having"] == [[0, 0, 32, 32], [16, 0, 48, 32], [0, 16, 32, 48], [16, 16, 48, 48]]
    figure.locator(".maps .hand").first.focus()
    press(one.page, "ArrowLeft", "Shift+ArrowUp", "Shift+ArrowLeft")
    assert check_tiles(figure)["at"] == [9, 10]
    assert len(values(figure)["having"]) == 1


def test_dragging_along_the_curves_chooses_a_pair(watched):
    one = watched()
    figure = one.show(FIGURES["tiles"]())
    assert figure.locator(".curve").count() == 3
    dots = figure.locator(".stop")
    assert dots.count() == len(PAIRS)
    for n in (3, len(PAIRS) - 1):
        dots.nth(n).scroll_into_view_if_needed()
        box = dots.nth(n).bounding_box()
        one.page.mouse.click(box["x"] + 3, box["y"] + 3)
        now = check_tiles(figure)
        dot = figure.locator(".dot").bounding_box()
        assert [dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2] == pytest.approx(
            [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2], abs=1
        )
        assert (now["tile"], now["overlap"]) == PAIRS[n]


# --- class weights ---


def check_weights(figure) -> dict:
    """Compare every number that the figure shows with numpy's."""
    now = values(figure)
    counts = confusion(IGNORING, WEIGHTED[now["chosen"]])
    fit = [ious(IGNORING, found)[LABEL] for found in WEIGHTED]
    assert now["best"] == int(np.argmax(fit))
    columns = []
    for name, c in [("mine", LABEL), ("ground", 0)]:
        right, found, true = counts[c, c], counts[:, c].sum(), counts[c].sum()
        want = [right / found, right / true, right / (found + true - right)]
        assert [now[name][key] for key in ("precision", "recall", "iou")] == pytest.approx(want)
        columns.append([right, found - right, true - right, *want])
    cells = [number(text) for text in shown(figure, "tbody td")]
    assert cells[0::2] == pytest.approx(columns[0], abs=5.1e-4)
    assert cells[1::2] == pytest.approx(columns[1], abs=5.1e-4)
    assert shown(figure, ".slider output") == [f"× {WEIGHTS[now['chosen']]:g}"]
    return now


def test_a_weight_for_each_network(watched):
    one = watched()
    figure = one.show(FIGURES["class_weights"]())
    assert check_weights(figure)["chosen"] == 0
    recalls = []
    for i in range(len(WEIGHTS)):
        slide(figure, "weight", i)
        recalls.append(check_weights(figure)["mine"]["recall"])
    assert recalls == sorted(recalls)
    assert recalls[-1] > recalls[0]
    button = figure.get_by_role("button", name=f"Go to the best IoU of {NAMES[LABEL]}")
    button.click()
    now = check_weights(figure)
    assert now["chosen"] == now["best"]
    assert button.is_disabled()


def test_points_move_along_the_curves(watched):
    one = watched()
    figure = one.show(FIGURES["class_weights"]())
    stops = {who: figure.locator(f".stop.{who}") for who in ("mine", "ground")}
    assert [stops[who].count() for who in stops] == [len(WEIGHTS)] * 2

    def middle(node) -> list[float]:
        return [float(node.get_attribute(name)) for name in ("cx", "cy")]

    low = float(shown(figure, ".chart text")[0])
    for i in (0, 4):
        slide(figure, "weight", i)
        now = values(figure)
        for who in ("mine", "ground"):
            assert middle(figure.locator(f".dot.{who}")) == middle(stops[who].nth(i))
        x0, y0, x1, y1 = figure.locator(".axis").evaluate(
            "node => { const b = node.getBBox(); return [b.x, b.y + b.height, b.x + b.width, b.y]; }"
        )
        x, y = middle(figure.locator(".dot.mine"))
        share = [(x - x0) / (x1 - x0), (y - y0) / (y1 - y0)]
        want = [(now["mine"][name] - low) / (1 - low) for name in ("recall", "precision")]
        assert share == pytest.approx(want, abs=1e-3)
    stops["mine"].nth(1).scroll_into_view_if_needed()
    box = stops["mine"].nth(1).bounding_box()
    one.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert check_weights(figure)["chosen"] == 1


def test_outcomes_of_the_class_in_the_picture(watched):
    figure = watched().show(FIGURES["class_weights"]())
    slide(figure, "weight", 3)
    canvas = figure.locator(".frame > canvas")
    counted = IGNORING != 255
    assert np.abs(pixels(canvas).astype(int) - CLASSES[WEIGHTED[3]])[counted].max() <= 2
    names = [NAMES[c] for c in range(K) if c in np.union1d(WEIGHTED[3][counted], TRUTH[counted])]
    assert [name for name in shown(figure, ".legend > span") if name != "table"] == names[1:]
    figure.get_by_label("right, false, missed").check()
    got, mine, true = pixels(canvas), WEIGHTED[3] == LABEL, TRUTH == LABEL
    assert ((got == VERMILION).all(2) == (mine & ~true & counted)).all()
    assert ((got == colour(ROLES["truth"])).all(2) == (~mine & true & counted)).all()
    opacity = canvas.evaluate(
        "node => [...node.getContext('2d').getImageData(0, 0, 96, 96).data].filter((_, i) => i % 4 === 3)"
    )
    assert ((np.array(opacity).reshape(96, 96) == 0) == (mine & true & counted)).all()


# --- upsampling path ---


def check_path(figure) -> dict:
    """Compare every number that the figure shows with Python's."""
    now = values(figure)
    kept = FIGURES["upsampling_path"]().state["kept"]
    title, scores = STEPS[now["step"]]
    shares = torch.from_numpy(scores).softmax(0).numpy()
    labels = scores.argmax(0)
    (h, w), (u, v) = labels.shape, now["at"]
    i, j = int(v * h), int(u * w)
    assert now["cell"] == [i, j]
    assert now["winner"] == labels[i, j]
    assert np.abs(np.array(now["scores"]) - shares[kept, i, j]).max() <= 1 / 512 + 1e-9
    big = [one.argmax(0).repeat(96 // one.shape[1], 0).repeat(96 // one.shape[1], 1) for _, one in STEPS]
    assert now["same"] == pytest.approx([(one == big[-1]).mean() for one in big])
    assert now["miou"] == pytest.approx([np.nanmean(ious(IGNORING, one)) for one in big])

    side = f"{96 // h} × {96 // w}"
    assert shown(figure, ".title") == [f"{title}: {h} × {w} cells of {side} pixels"]
    cells = [float(text) for text in shown(figure, "tbody td:last-child")]
    assert cells == pytest.approx([*now["scores"], now["rest"]], abs=5.1e-3)
    assert cells[-1] == pytest.approx(1 - shares[kept, i, j].sum(), abs=0.02)
    assert shown(figure, ".winner th") == ([NAMES[labels[i, j]]] if labels[i, j] in kept else [])
    place = kept.index(now["label"])
    chosen = f"probability of {NAMES[now['label']]} {cells[place]:.2f}."
    assert shown(figure, ".status")[0] == f"Row {i}, column {j} of {h} × {w}: {NAMES[labels[i, j]]}; {chosen}"
    same = f"{100 * now['same'][now['step']]:.1f} % of the pixels have the class that the last step gives them."
    note = "This is the last step." if now["step"] == 3 else same
    assert shown(figure, ".layout .note") == [f"{note} The mean IoU with the truth is {now['miou'][now['step']]:.3f}."]

    largest, heat = figure.locator(".maps canvas").all()
    assert (pixels(largest) == CLASSES[labels]).all()
    want = 255 * matplotlib.colormaps["viridis"](shares[now["label"]])[:, :, :3]
    assert np.abs(pixels(heat) - want).max() < 14
    return now


def test_the_way_up(watched):
    one = watched()
    figure = one.show(FIGURES["upsampling_path"]())
    now = check_path(figure)
    assert (now["step"], now["label"]) == (0, LABEL)
    texts = shown(figure, ".maps svg text")  # cells so large that their numbers fit
    wanted = torch.from_numpy(STEPS[0][1]).softmax(0)[LABEL].flatten().tolist()
    assert [float(text) for text in texts] == pytest.approx(wanted, abs=7.1e-3)
    figure.get_by_role("slider", name="step").focus()
    press(one.page, "ArrowRight")
    assert check_path(figure)["step"] == 1
    figure.get_by_role("button", name="Next", exact=True).click()
    assert check_path(figure)["step"] == 2
    figure.locator(".rung").nth(3).click()
    assert check_path(figure)["step"] == 3
    assert figure.get_by_role("button", name="Next", exact=True).is_disabled()
    assert shown(figure, ".maps svg text") == []
    figure.get_by_role("button", name="Back", exact=True).click()
    assert check_path(figure)["step"] == 2
    assert shown(figure, ".rung")[0] == f"Step 1, coarsest: 3 × 3IoU {now['miou'][0]:.2f}"


def test_a_cell_and_a_class(watched):
    one = watched()
    figure = one.show(FIGURES["upsampling_path"]())
    slide(figure, "step", 3)
    point(one.page, figure.locator(".maps svg").nth(1), 4.5 / 12, 7.5 / 12)
    assert check_path(figure)["cell"] == [7, 4]
    figure.locator(".maps .hand").first.focus()
    press(one.page, "ArrowRight", "ArrowUp", "Shift+ArrowLeft")
    assert check_path(figure)["cell"] == [6, 1]
    figure.get_by_label("table", exact=True).check()
    assert check_path(figure)["label"] == 0
    slide(figure, "step", 1)  # the same place in the picture
    assert check_path(figure)["cell"] == [1, 0]
    assert (
        figure.locator(".maps .hand").first.get_attribute("aria-label").startswith("Largest score. Row 1, column 0 of")
    )


def test_a_path_without_truth(watched):
    figure = watched().show(interactive.upsampling_path(IMAGE, STEPS, NAMES))
    assert values(figure)["miou"] == [None] * 4
    assert "truth" not in shown(figure, ".layout .note")[0]
    assert figure.locator(".rung span:not(.hidden)").count() == 4


# --- what holds for every figure ---


def act(page, figure, name: str) -> None:
    """Do the first thing that a reader would do."""
    if name == "class_weights":
        figure.get_by_role("slider").focus()
    else:
        figure.locator(".frame:not([hidden]) .hand").first.focus()
    press(page, "ArrowRight")


TestEveryFigure = rules_for(FIGURES, act)


@pytest.mark.parametrize("name", FIGURES)
def test_it_is_small(name):
    assert len(FIGURES[name]()._repr_html_().encode()) < 120_000
