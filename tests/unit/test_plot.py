"""Plots: what is drawn where, in which colour, and what is refused."""

from __future__ import annotations

import base64
import io

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from PIL import Image

from cvlab import plot
from cvlab._palette import OKABE_ITO, ROLES
from cvlab.plot import output
from cvlab.plot.colors import luminance, text_on

PICTURE = torch.linspace(0, 1, 3 * 40 * 60).reshape(3, 40, 60)


@pytest.fixture(autouse=True)
def _no_window():
    """Draw without a screen, and leave neither figures nor settings to the next test."""
    with matplotlib.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")


def drawn_boxes(ax) -> list[np.ndarray]:
    """The corners of every box on `ax`."""
    return [path.vertices[:4] for lines in ax.collections for path in lines.get_paths()]


def colors_of(ax) -> list[str]:
    return [to_hex(c).upper() for lines in ax.collections for c in lines.get_edgecolor()]


# Pictures


@pytest.mark.parametrize(
    ("picture", "shape"),
    [
        (PICTURE, (40, 60, 3)),
        (PICTURE[:1], (40, 60)),
        (PICTURE[0], (40, 60)),
        ((PICTURE * 255).to(torch.uint8), (40, 60, 3)),
        (PICTURE.half(), (40, 60, 3)),
        (PICTURE.bfloat16(), (40, 60, 3)),
        (PICTURE.clone().requires_grad_(), (40, 60, 3)),
        (PICTURE.permute(1, 2, 0).numpy(), (40, 60, 3)),
        (PICTURE[0].numpy()[..., None], (40, 60)),
        (Image.new("RGB", (60, 40)), (40, 60, 3)),
    ],
)
def test_image_takes_tensors_channels_first_and_arrays_channels_last(picture, shape):
    ax = plot.image(picture)
    assert ax.images[0].get_array().shape == shape


def test_image_keeps_the_pixels_and_the_frame_of_boxes():
    ax = plot.image(PICTURE)
    np.testing.assert_allclose(ax.images[0].get_array(), PICTURE.permute(1, 2, 0).numpy())
    assert ax.images[0].get_extent() == [0, 60, 40, 0]


def test_a_grey_picture_keeps_its_brightness():
    ax = plot.image(torch.full((1, 8, 8), 0.25))
    assert ax.images[0].norm(0.25) == pytest.approx(0.25)
    ax = plot.image(torch.full((1, 8, 8), 51, dtype=torch.uint8))
    assert ax.images[0].norm(51) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("picture", "error", "message"),
    [
        (PICTURE.permute(1, 2, 0), ValueError, r"image must have shape \(C, H, W\).* tensor, got \(40, 60, 3\)"),
        (PICTURE.numpy(), ValueError, r"image must have shape \(H, W\) or \(H, W, C\).* array, got \(3, 40, 60\)"),
        (PICTURE[None], ValueError, r"got \(1, 3, 40, 60\)"),
        (torch.rand(2, 4, 4), ValueError, r"got \(2, 4, 4\)"),
        (torch.rand(3, 0, 4), ValueError, r"got \(3, 0, 4\)"),
        (PICTURE * 255, ValueError, r"image values must be in \[0, 1\], got 0 to 255"),
        (PICTURE - 0.5, ValueError, r"got -0.5 to 0.5"),
        (torch.full((3, 4, 4), float("nan")), ValueError, "got nan to nan"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), TypeError, "must be float in .* or uint8, got int64"),
    ],
)
def test_image_refuses_other_layouts_and_ranges(picture, error, message):
    with pytest.raises(error, match="plot.image: .*" + message):
        plot.image(picture)


def test_image_draws_on_the_axes_it_is_given_and_draws_a_target():
    _, ax = plt.subplots()
    mask = torch.zeros(1, 40, 60, dtype=torch.bool)
    mask[0, 5:10, 5:10] = True
    target = {"boxes": torch.tensor([[5.0, 5, 10, 10]]), "labels": torch.tensor([1]), "masks": mask}
    assert plot.image(PICTURE, ax, target=target, names=["-", "fig"], title="t") is ax
    assert [t.get_text() for t in ax.texts] == ["fig"]
    assert len(ax.images) == 2
    assert ax.get_title() == "t"


# Boxes


def test_boxes_are_drawn_where_they_are():
    ax = plot.boxes(torch.tensor([[1.0, 2, 30, 20]]), plot.image(PICTURE))
    assert drawn_boxes(ax)[0].tolist() == [[1, 2], [30, 2], [30, 20], [1, 20]]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 60), (40, 0))


@pytest.mark.parametrize("boxes", [torch.zeros(0, 4), [], np.zeros((0, 4))])
def test_no_boxes_draw_nothing(boxes):
    ax = plot.boxes(boxes, plot.image(PICTURE), labels=[], scores=[])
    assert drawn_boxes(ax) == []
    assert list(ax.texts) == []


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ({"labels": [2, 0]}, ["2", "0"]),
        ({"labels": torch.tensor([2, 0]), "names": ["a", "b", "c"]}, ["c", "a"]),
        ({"labels": [7, 0], "names": {7: "seven", 0: "zero"}}, ["seven", "zero"]),
        ({"labels": ["x", "y"]}, ["x", "y"]),
        ({"scores": torch.tensor([0.914, 0.5])}, ["0.91", "0.50"]),
        ({"labels": ["x", "y"], "scores": [1, 0]}, ["x 1.00", "y 0.00"]),
    ],
)
def test_labels_names_and_scores_are_written(given, texts):
    ax = plot.boxes([[0, 0, 9, 9], [5, 5, 20, 20]], plot.image(PICTURE), **given)
    assert [t.get_text() for t in ax.texts] == texts


@pytest.mark.parametrize(
    ("given", "colors"),
    [
        ({}, [ROLES["truth"]] * 2),
        ({"scores": [0.5, 0.6]}, [ROLES["prediction"]] * 2),
        ({"color": "anchor"}, [ROLES["anchor"]] * 2),
        ({"color": ["reader", "ignored"]}, [ROLES["reader"], ROLES["ignored"]]),
        ({"color": "#123456"}, ["#123456"] * 2),
        ({"color": {"a": "#111111", "b": "#222222"}, "labels": ["b", "a"]}, ["#222222", "#111111"]),
        ({"color": {1: "truth", 2: "#222222"}, "labels": [1, 2]}, [ROLES["truth"], "#222222"]),
        ({"color": "class", "labels": [1, 8]}, [OKABE_ITO["blue"]] * 2),  # seven colours, then again
        ({"color": "class", "labels": [2, 1]}, [OKABE_ITO["reddish purple"], OKABE_ITO["blue"]]),
        ({"color": "class", "labels": ["z", "a"]}, [OKABE_ITO["blue"], OKABE_ITO["reddish purple"]]),
    ],
)
def test_boxes_have_the_colour_of_their_role_or_class(given, colors):
    ax = plot.boxes([[0, 0, 9, 9], [5, 5, 20, 20]], plot.image(PICTURE), **given)
    assert colors_of(ax) == colors


@pytest.mark.parametrize(
    ("boxes", "given", "message"),
    [
        (torch.zeros(3, 5), {}, r"boxes must have shape \(N, 4\), got \(3, 5\)"),
        (torch.zeros(4), {}, r"boxes must have shape \(N, 4\), got \(4,\)"),
        ([[0, 0, 1, 1], [5, 0, 1, 1]], {}, r"x1 <= x2 and y1 <= y2, got \[5.0, 0.0, 1.0, 1.0\] at index 1"),
        ([[0, 0, 1, float("inf")]], {}, "boxes must be finite, got .*inf.* at index 0"),
        ([[0, 0, 1, 1]], {"labels": [1, 2]}, "labels must have one value for each of 1 items, got 2"),
        ([[0, 0, 1, 1]], {"scores": [1.5]}, r"scores must be in \[0, 1\], got 1.5 at index 0"),
        ([[0, 0, 1, 1]], {"scores": [float("nan")]}, r"scores must be in \[0, 1\], got nan at index 0"),
        ([[0, 0, 1, 1]], {"labels": [3], "names": ["a"]}, "names must have an entry .* got none for label 3"),
        ([[0, 0, 1, 1]], {"labels": [-1], "names": ["a"]}, "names must have an entry .* got none for label -1"),
        ([[0, 0, 1, 1]], {"color": "truht"}, "color must be one of .*truth.*, got 'truht'"),
        ([[0, 0, 1, 1]], {"color": {2: "red"}, "labels": [1]}, "color must map every label .* none for label 1"),
        ([[0, 0, 1, 1]], {"color": {1: "truht"}, "labels": [1]}, "color must be one of .*truth.*, got 'truht'"),
        ([[0, 0, 1, 1]], {"labels": 3}, "labels must have one value for each of 1 items, got 3 alone"),
        ([[0, 0, 1, 1]], {"labels": torch.tensor(3)}, "labels must have one value for each of 1 items, got 3 alone"),
        ([[0, 0, 1, 1]] * 3, {"labels": "cat"}, "labels must have one value for each of 3 items, got 'cat' alone"),
        ([[0, 0, 1, 1]], {"scores": 0.5}, "scores must have one value for each of 1 items, got 0.5 alone"),
        ([[0, 0, 1, 1], [0, 0, 1]], {}, "boxes must be a rectangular array of numbers"),
        (torch.zeros(1, 4, device="meta"), {}, "boxes must be a rectangular array of numbers"),
        ([[0, 0, 1, 1]], {"color": ["truth", "truth"]}, "color must have one value for each of 1 items, got 2"),
    ],
)
def test_boxes_refuse_what_is_wrong(boxes, given, message):
    with pytest.raises(ValueError, match="plot.boxes: .*" + message):
        plot.boxes(boxes, plot.image(PICTURE), **given)


@pytest.mark.parametrize("boxes", [None, "boxes", [["a", "b", "c", "d"]], torch.zeros(1, 4, dtype=torch.complex64)])
def test_boxes_that_are_no_numbers_are_refused(boxes):
    with pytest.raises(TypeError, match="plot.boxes: boxes must be an array of numbers, got"):
        plot.boxes(boxes, plot.image(PICTURE))


@pytest.mark.parametrize("dpi", [50, 72, 200])
def test_labels_stay_in_the_picture_and_off_one_another(dpi):
    boxes = [[0, 0, 60, 40], [0, 0, 10, 10], [50, 0, 60, 5], [55, 35, 60, 40], [20, 10, 40, 30], [20, 10, 41, 31]]
    ax = plot.boxes(boxes, plot.image(PICTURE), labels=[f"label {i}" for i in range(6)])
    ax.figure.savefig(io.BytesIO(), dpi=dpi)
    frame, placed = ax.bbox, [text.placed for text in ax.texts]
    ax.figure.set_dpi(dpi)
    ax.figure.canvas.draw()
    frame, placed = ax.bbox, [text.placed for text in ax.texts]
    for one in placed:
        assert one.x0 >= frame.x0 - 1e-6
        assert one.x1 <= frame.x1 + 1e-6
        assert one.y0 >= frame.y0 - 1e-6
        assert one.y1 <= frame.y1 + 1e-6
    assert not any(a.overlaps(b) for i, a in enumerate(placed) for b in placed[:i])


def test_a_label_lies_on_top_of_its_box_where_there_is_room():
    ax = plot.boxes([[10, 20, 50, 35]], plot.image(PICTURE), labels=["fig"])
    ax.figure.canvas.draw()
    left, top = ax.transData.transform((10, 20))
    assert ax.texts[0].placed.x0 == pytest.approx(left)
    assert ax.texts[0].placed.y0 == pytest.approx(top)


@pytest.mark.parametrize("color", [*OKABE_ITO.values(), *ROLES.values()])
def test_text_on_every_colour_of_the_book_can_be_read(color):
    light, dark = sorted([luminance(color), luminance(text_on(color))], reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5 or color == OKABE_ITO["vermilion"]
    assert (light + 0.05) / (dark + 0.05) >= 4.0


def test_axes_without_a_picture_are_scaled_to_the_boxes_with_y_downwards():
    _, ax = plt.subplots()
    plot.boxes([[100, 200, 300, 260]], ax)
    assert ax.get_xlim()[0] <= 100 < 300 <= ax.get_xlim()[1] < 400
    assert ax.get_ylim()[0] >= 260 > 200 >= ax.get_ylim()[1] > 100


def test_lines_are_thinner_in_smaller_pictures():
    _, axes = plt.subplots(1, 8)
    plot.image(PICTURE, axes[0])
    small, large = plot.boxes([[0, 0, 9, 9]], axes[0]), plot.boxes([[0, 0, 9, 9]], plot.image(PICTURE))
    assert small.collections[0].get_linewidth()[0] < large.collections[0].get_linewidth()[0]


# Masks


def two_masks() -> torch.Tensor:
    masks = torch.zeros(2, 40, 60, dtype=torch.bool)
    masks[0, 5:10, 20:30] = True
    masks[1, 0:40, 0:3] = True
    return masks


def test_masks_tint_exactly_their_pixels():
    ax = plot.masks(two_masks(), plot.image(PICTURE), color=["#ff0000", "#0000ff"], alpha=0.5)
    tint = np.asarray(ax.images[1].get_array())
    np.testing.assert_array_equal(tint[..., 3] > 0, two_masks().any(0).numpy())
    assert tint[7, 25].tolist() == [1, 0, 0, 0.5]
    assert tint[39, 2].tolist() == [0, 0, 1, 0.5]


def test_outlines_lie_on_the_edge_of_the_pixels():
    ax = plot.masks(two_masks(), plot.image(PICTURE))
    outline = ax.collections[0].get_segments()[0]
    assert outline.min(axis=0) == pytest.approx([20, 5])
    assert outline.max(axis=0) == pytest.approx([30, 10])


def test_masks_are_named_in_their_middle():
    ax = plot.masks(two_masks(), plot.image(PICTURE), labels=[1, 2], names=["-", "fig", "plum"])
    assert [t.get_text() for t in ax.texts] == ["fig", "plum"]
    ax.figure.canvas.draw()
    middle = ax.texts[0].placed.get_points().mean(axis=0)
    assert ax.transData.inverted().transform(middle) == pytest.approx([25, 7.5], abs=0.6)


@pytest.mark.parametrize(
    ("target", "texts"),
    [
        ({"masks": two_masks(), "labels": [1, 2]}, ["fig", "plum"]),
        ({"masks": two_masks()}, []),
        ({"masks": two_masks(), "labels": [1, 2], "boxes": [[20, 5, 30, 10], [0, 0, 3, 40]]}, ["fig", "plum"]),
    ],
)
def test_names_of_a_target_are_written_once_with_or_without_boxes(target, texts):
    ax = plot.image(PICTURE, target=target, names=["-", "fig", "plum"])
    assert [t.get_text() for t in ax.texts] == texts


@pytest.mark.parametrize("size", [(60, 40), (20, 30), (40, 61)])
def test_masks_of_another_size_than_the_picture_are_refused(size):
    masks = torch.zeros(1, *size, dtype=torch.bool)
    message = rf"plot.masks: masks must have the picture's size 40 x 60, got {size[0]} x {size[1]}"
    with pytest.raises(ValueError, match=message):
        plot.image(PICTURE, target={"masks": masks})
    with pytest.raises(ValueError, match=message):
        plot.masks(masks, plot.image(PICTURE))


def test_masks_may_be_drawn_on_axes_without_a_picture_and_one_after_another():
    _, ax = plt.subplots()
    assert len(plot.masks(two_masks(), plot.masks(two_masks(), ax)).images) == 2
    _, ax = plt.subplots()
    ax.imshow(np.zeros((40, 60)))  # matplotlib's own frame is half a pixel off
    assert len(plot.masks(two_masks(), ax).images) == 2


def test_no_masks_draw_nothing():
    ax = plot.masks(torch.zeros(0, 40, 60, dtype=torch.bool), plot.image(PICTURE))
    assert len(ax.images) == 1
    empty = plot.masks(torch.zeros(1, 40, 60, dtype=torch.bool), plot.image(PICTURE), labels=["a"])
    assert list(empty.texts) == []


@pytest.mark.parametrize(
    ("masks", "given", "error", "message"),
    [
        (torch.zeros(4, 4, dtype=torch.bool), {}, ValueError, r"masks must have shape \(N, H, W\), got \(4, 4\)"),
        (torch.rand(1, 4, 4), {}, TypeError, "masks must be bool, got float32"),
        (torch.zeros(1, 4, 4, dtype=torch.bool), {"labels": [1, 2]}, ValueError, "labels must have one value"),
    ],
)
def test_masks_refuse_what_is_wrong(masks, given, error, message):
    with pytest.raises(error, match="plot.masks: .*" + message):
        plot.masks(masks, plot.image(PICTURE), **given)


# Keypoints


def test_keypoints_that_are_not_there_are_not_drawn():
    points = [[[5, 5, 2], [10, 10, 1], [0, 0, 0]]]
    ax = plot.keypoints(points, plot.image(PICTURE), names=["stem", "tip", "gone"], edges=[(0, 1), (1, 2)])
    assert [t.get_text() for t in ax.texts] == ["stem", "tip"]
    lines, _, marks = ax.collections
    assert [s.tolist() for s in lines.get_segments()] == [[[5, 5], [10, 10]]]
    assert marks.get_offsets().tolist() == [[5, 5], [10, 10]]
    filled = [len(face) and face[3] > 0 for face in marks.get_facecolor()]
    assert filled == [True, False]


def test_keypoints_without_visibility_are_all_drawn():
    ax = plot.keypoints(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), plot.image(PICTURE))
    assert ax.collections[-1].get_offsets().tolist() == [[1, 2], [3, 4]]
    assert list(plot.keypoints(torch.zeros(0, 3, 2), plot.image(PICTURE)).collections) == []


@pytest.mark.parametrize("shape", [(3, 2), (1, 3, 4), (2,)])
def test_keypoints_refuse_other_shapes(shape):
    with pytest.raises(ValueError, match=r"plot.keypoints: points must have shape \(N, K, 2\) or \(N, K, 3\), got"):
        plot.keypoints(torch.zeros(shape), plot.image(PICTURE))


@pytest.mark.parametrize("visibility", [-1, 0.5, 3])
def test_keypoints_refuse_another_visibility(visibility):
    points = [[[5, 5, 2], [10, 10, 1]], [[5, 5, 0], [10, 10, visibility]]]
    with pytest.raises(
        ValueError, match=rf"plot.keypoints: visibility must be 0, 1 or 2, got {visibility} at \(1, 1\)"
    ):
        plot.keypoints(points, plot.image(PICTURE))


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([(0, 1), (1, 3)], r"edges must be pairs of indices from 0 to 2, got \[1.0, 3.0\] at index 1"),
        ([(-1, 0)], r"edges must be pairs of indices from 0 to 2, got \[-1.0, 0.0\] at index 0"),
        ([(0, 0.5)], r"edges must be pairs of indices from 0 to 2, got \[0.0, 0.5\] at index 0"),
        ([(0, 1, 2)], r"edges must have shape \(N, 2\), got \(1, 3\)"),
        ([(0, 1), (2,)], "edges must be a rectangular array of numbers"),
    ],
)
def test_keypoints_refuse_edges_to_nowhere(edges, message):
    with pytest.raises(ValueError, match=f"plot.keypoints: {message}"):
        plot.keypoints(torch.zeros(1, 3, 2), plot.image(PICTURE), edges=edges)


# Heat maps


def test_a_heatmap_shows_its_values_and_names():
    ax = plot.heatmap([[0.0, 1.0], [0.25, 0.5]], numbers=".2f", rows=["a", "b"], columns=["c", "d"], limits=(0, 2))
    assert [t.get_text() for t in ax.texts] == ["0.00", "1.00", "0.25", "0.50"]
    assert ax.images[0].get_clim() == (0, 2)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    assert len(ax.figure.axes) == 2  # the scale


def test_a_heatmap_is_stretched_over_its_picture():
    ax = plot.heatmap(torch.rand(4, 6), image=PICTURE, colorbar=False)
    assert [shown.get_extent() for shown in ax.images] == [[0, 60, 40, 0]] * 2
    assert ax.images[1].get_alpha() == 0.6
    assert len(ax.figure.axes) == 1


@pytest.mark.parametrize(
    ("values", "given", "message"),
    [
        (torch.rand(3), {}, r"values must have shape \(H, W\), got \(3,\)"),
        (torch.zeros(0, 3), {}, r"values must have shape \(H, W\), got \(0, 3\)"),
        ([[0.0, float("nan")]], {}, r"values must be finite, got nan at \(0, 1\)"),
        (torch.rand(2, 3), {"limits": (0, float("nan"))}, r"limits must be two finite numbers, .* got \(0, nan\)"),
        (torch.rand(2, 3), {"limits": (1, 0)}, r"limits must be two finite numbers, the lower first, got \(1, 0\)"),
        (torch.rand(2, 3), {"limits": (0, 0)}, r"limits must be two finite numbers, the lower first, got \(0, 0\)"),
        (torch.rand(2, 3), {"limits": 1}, "limits must be two finite numbers, the lower first, got 1"),
        (torch.rand(2, 3), {"limits": ()}, "limits must be two finite numbers"),
        ([[1, 2], [3]], {}, "values must be a rectangular array of numbers"),
        (torch.rand(2, 3), {"rows": "ab"}, "rows must have one value for each of 2 items, got 'ab' alone"),
        (torch.rand(2, 3), {"rows": ["a"]}, "rows must have one value for each of 2 items, got 1"),
    ],
)
def test_heatmap_refuses_what_is_wrong(values, given, message):
    with pytest.raises(ValueError, match="plot.heatmap: .*" + message):
        plot.heatmap(values, **given)


# Grids


@pytest.mark.parametrize(
    ("count", "columns", "shape"),
    [(1, None, (1, 1)), (4, None, (1, 4)), (6, None, (2, 3)), (10, None, (2, 5)), (5, 2, (3, 2))],
)
def test_a_grid_returns_its_axes_in_rows_and_columns(count, columns, shape):
    axes = plot.grid(torch.rand(count, 3, 8, 8), columns=columns)
    assert axes.shape == shape
    assert [len(ax.images) for ax in axes.flat] == [1] * count + [0] * (axes.size - count)


def test_a_grid_takes_pictures_of_several_sizes_with_targets_and_captions():
    targets = [None, {"boxes": torch.tensor([[1.0, 1, 5, 5]]), "labels": [1], "scores": [0.5]}]
    axes = plot.grid([PICTURE, torch.rand(1, 9, 5)], targets=targets, captions=["one", "two"], names=["-", "fig"])
    assert [ax.get_xlabel() for ax in axes.flat] == ["one", "two"]
    assert [t.get_text() for ax in axes.flat for t in ax.texts] == ["fig 0.50"]


@pytest.mark.parametrize(
    ("images", "given", "message"),
    [
        ([], {}, "images must hold at least one picture"),
        ([PICTURE], {"captions": ["a", "b"]}, "captions must have one entry for each of 1 images, got 2"),
        ([PICTURE], {"targets": []}, "targets must have one entry for each of 1 images, got 0"),
        ([PICTURE], {"columns": 0}, "columns must be at least 1, got 0"),
        ([PICTURE, torch.rand(2, 4, 4)], {}, "image 1: image must have shape"),
    ],
)
def test_grid_refuses_what_is_wrong(images, given, message):
    with pytest.raises(ValueError, match="plot.grid: .*" + message):
        plot.grid(images, **given)


def test_grid_refuses_what_is_no_sequence():
    with pytest.raises(TypeError, match="plot.grid: images must be a sequence of pictures or a batch, got NoneType"):
        plot.grid(None)


# The page


def test_style_keeps_text_readable_on_its_own_card():
    plot.style()
    card = luminance(matplotlib.rcParams["figure.facecolor"])
    for name in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color"):
        assert (card + 0.05) / (luminance(matplotlib.rcParams[name]) + 0.05) >= 4.5


@pytest.fixture
def displayed(monkeypatch):
    """What `show` gives to the notebook."""
    from IPython import display

    shown = []
    monkeypatch.setattr(output, "_in_notebook", lambda: True)
    monkeypatch.setattr(display, "display", lambda data, *, raw, metadata: shown.append((data, metadata)))
    return shown


def test_show_gives_pictures_as_jpeg_with_their_text(displayed):
    assert plot.show(plot.image(PICTURE), alt="A ramp\n  of colours.") is None
    ((data, metadata),) = displayed
    assert data["text/plain"] == "A ramp of colours."
    assert metadata["image/jpeg"]["alt"] == "A ramp of colours."
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    assert picture.format == "JPEG"
    assert metadata["image/jpeg"]["width"] == round(picture.width / 1.5)
    assert plt.get_fignums() == []  # or the notebook would show it twice


@pytest.mark.parametrize("kind", ["axes", "figure", "array"])
def test_show_gives_plots_as_png(displayed, kind):
    figure, axes = plt.subplots(1, 2)
    axes[0].plot([1, 2])
    plot.heatmap([[1.0, 2.0]], axes[1])
    plot.show({"axes": axes[0], "figure": figure, "array": axes}[kind], alt="A line and a matrix.")
    assert set(displayed[0][0]) == {"image/png", "text/plain"}


def test_the_same_figure_gives_the_same_bytes():
    def encoded():
        return output.encode(plot.boxes([[1, 1, 20, 20]], plot.image(PICTURE), labels=["a"]).figure, "jpeg")

    assert encoded() == encoded()


@pytest.mark.parametrize("alt", ["", "  \n", None])
def test_show_wants_a_text(alt):
    with pytest.raises(ValueError, match="plot.show: alt must say what the figure shows, got"):
        plot.show(plot.image(PICTURE), alt=alt)


def test_show_wants_a_figure():
    with pytest.raises(TypeError, match="plot.show: drawn must be a Figure, Axes or an array of Axes, got int"):
        plot.show(3, alt="three")


@pytest.mark.parametrize("drawn", [[], (), np.zeros((0, 2), object)])
def test_show_wants_at_least_one(drawn):
    with pytest.raises(TypeError, match="plot.show: drawn must be a Figure, Axes or an array of Axes, got none"):
        plot.show(drawn, alt="nothing")


def test_nothing_is_printed(capfd):
    plot.style()
    plot.grid([PICTURE], captions=["a"])
    assert capfd.readouterr() == ("", "")
