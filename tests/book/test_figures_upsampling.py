"""The figures of transposed convolution in a browser: hands move them, torch says what they must show."""

from __future__ import annotations

import itertools
import re
from math import cos, tau

import numpy as np
import pytest
import test_figures as every
import torch
from every_figure import rules_for
from test_figures import press, shown, tensor, values
from torch.nn import functional

from cvlab import interactive, ops

pytestmark = pytest.mark.browser
watched, call = every.watched, every.call  # fixtures

PIXELS = [[1, -2, 0], [3, 1, 2], [-1, 0, 4]]
WEIGHT = [[1, 2, 0, 1], [-2, 3, 1, 2], [1, 1, 2, -1], [1, 2, 1, 3]]
SMALL = [[1, 2, 1], [0, 3, -1], [2, 1, -2]]
INPUT = [[1, 0, 2, 1], [2, 1, 0, 3], [0, 2, 1, 1], [1, 3, 0, 2]]
FIGURES = {
    "trans_conv": lambda: interactive.trans_conv(PIXELS, WEIGHT, step=5),
    "conv_matrix": lambda: interactive.conv_matrix(SMALL, INPUT, padding=1),
    "checkerboard": lambda: interactive.checkerboard(seed=1),
}
SIDE, MARGIN = 48, 6  # of the checkerboard's picture, and of its input beyond what is shown


def act(page, figure, name: str) -> None:
    """Do the first thing that a reader would do."""
    figure.locator("[role=application]").first.focus()
    press(page, "ArrowRight")


def slide(figure, label: str, value: int) -> None:
    figure.get_by_role("slider", name=label).fill(str(value))


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


def point(page, node, across: float, down: float) -> None:
    """Point at a place of a node, given in shares of its size."""
    node.scroll_into_view_if_needed()
    box = node.bounding_box()
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])


def tap(one, node, across: float, down: float) -> None:
    """Touch a place of a node with a finger."""
    node.scroll_into_view_if_needed()
    box = node.bounding_box()
    one.page.touchscreen.tap(box["x"] + across * box["width"], box["y"] + down * box["height"])


# --- step by step ---


def laid(pixels, kernel, stride: int, padding: int, step: int) -> torch.Tensor:
    """The output after so many pixels: a transposed convolution of an input whose other pixels are 0."""
    x = tensor(pixels).flatten()
    x[step:] = 0
    n = len(pixels)
    return functional.conv_transpose2d(x.reshape(1, 1, n, n), tensor(kernel)[None, None], None, stride, padding)[0, 0]


def test_laying_is_transposed_convolution(call):
    rng = np.random.default_rng(0)
    cases = []
    for n, k, stride in itertools.product((2, 3, 4), (1, 2, 3, 4), (1, 2, 3)):
        pixels, kernel = (rng.integers(-9, 10, (side, side)).tolist() for side in (n, k))
        cases.append((pixels, kernel, stride, int(rng.integers(0, n * n + 1))))
    for (pixels, kernel, stride, step), got in zip(cases, call("trans_conv", "lay", cases), strict=True):
        assert torch.equal(tensor(got["sums"]), laid(pixels, kernel, stride, 0, step))
        ones = [np.ones_like(grid).tolist() for grid in (pixels, kernel)]
        assert torch.equal(tensor(got["counts"]), laid(*ones, stride, 0, step))


def test_padding_takes_the_edge_away(call):
    grid = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert call("trans_conv", "trim", [(grid, 0), (grid, 1), (grid, 2)]) == [grid, [[5]], []]
    assert call("trans_conv", "corner", [(grid, 2)]) == [[[1, 2], [4, 5]]]
    # 3 pixels, stride 2, a kernel of 3: 7; without the outermost lines 5; a kernel of 1 and padding 2 leave less than 0
    assert call("trans_conv", "sizeOut", [(3, 3, 2, 0), (3, 3, 2, 1), (3, 1, 1, 2)]) == [7, 5, -1]


def check_steps(figure) -> dict:
    """Compare every number that the figure shows with those of `conv_transpose2d`."""
    now = values(figure)
    k, stride, padding, step = (now[name] for name in ("kernel", "stride", "padding", "step"))
    kernel = [line[:k] for line in WEIGHT[:k]]
    full = laid(PIXELS, kernel, stride, 0, step)
    assert torch.equal(tensor(now["sums"]), full)
    side = 2 * stride + k - 2 * padding
    assert now["side"] == side
    if side > 0:
        want = laid(PIXELS, kernel, stride, padding, step)
        assert torch.equal(tensor(now["output"]), want)
        assert want.shape == (side, side)
        x = tensor(PIXELS).flatten() * (torch.arange(9) < step)
        own = ops.trans_conv(x.reshape(1, 1, 3, 3), tensor(kernel)[None, None], None, stride, padding)[0, 0]
        torch.testing.assert_close(own, want)
    else:
        assert now["output"] == []
        assert "Nothing is left" in shown(figure, ".note")[0]
    assert numbers(shown(figure, ".formula b")[0].replace(" - ", " ")) == [3, 1, stride, k, 2, padding, side]
    back = [size for size in range(1, 30) if (size + 2 * padding - k) // stride + 1 == 3 and size + 2 * padding >= k]
    if side > 0:
        assert numbers(shown(figure, ".note")[0]) == [3, *back]

    counts = tensor(now["counts"])
    written = [int(text) for text in shown(figure, ".layout > div:first-child text") if re.fullmatch(r"-?\d+", text)]
    assert written == full[counts > 0].int().tolist()
    before = laid(PIXELS, kernel, stride, 0, max(step - 1, 0))
    status = shown(figure, ".status")[0]
    small = shown(figure, ".grids text")
    assert [int(text) for text in small[: 9 + k * k]] == [*np.ravel(PIXELS), *np.ravel(kernel)]
    if step == 0:
        assert now["pixel"] is None
        assert len(small) == 9 + k * k
        return now
    row, column = divmod(step - 1, 3)
    value = PIXELS[row][column]
    assert now["pixel"] == [row, column, value]
    assert [int(text) for text in small[9 + k * k :]] == [value * entry for entry in np.ravel(kernel)]
    top, left = row * stride, column * stride
    assert now["corner"] == [top - padding, left - padding]
    landing = torch.zeros_like(counts, dtype=torch.bool)
    landing[top : top + k, left : left + k] = True
    assert torch.equal(full - before, torch.where(landing, full - before, 0))
    sums = [text for text in shown(figure, ".layout > div:first-child text") if " " in text]
    both = [(int(a), int(b - a)) for a, b in zip(before[landing], full[landing], strict=True)]
    shared = (counts[landing] > 1).tolist()
    plain = [f"{a} {'-' if b < 0 else '+'} {abs(b)}" for (a, b), two in zip(both, shared, strict=True) if two]
    assert sums == plain  # "7 + 2", "7 - 2"
    met = int((landing & (counts > 1)).sum())
    expected = [step, 9, row, column, value, value, top - padding, left - padding, met, k * k]
    inside = torch.zeros_like(landing)
    inside[padding : padding + max(side, 0), padding : padding + max(side, 0)] = True
    lost = int((landing & ~inside).sum())
    assert numbers(status) == expected + ([lost] if lost else [])
    assert figure.locator(".cell.lost").count() == int((~inside).sum())
    assert figure.locator(".layout > div:first-child .cell.landed").count() == k * k
    return now


def test_steps_by_button_slider_and_keyboard(watched):
    one = watched()
    figure = one.show(interactive.trans_conv(PIXELS, WEIGHT))
    assert check_steps(figure)["step"] == 0
    assert figure.get_by_role("button", name="One back").is_disabled()
    figure.get_by_role("button", name="Lay the next").click()
    figure.get_by_role("button", name="Lay the next").click()
    assert check_steps(figure)["step"] == 2
    figure.get_by_role("button", name="One back").click()
    assert check_steps(figure)["step"] == 1
    figure.locator(".hand").focus()
    press(one.page, "ArrowDown", "ArrowRight")
    assert check_steps(figure)["pixel"][:2] == [1, 1]
    press(one.page, "ArrowUp", "ArrowLeft", "ArrowUp")  # the last would leave the input
    assert check_steps(figure)["pixel"][:2] == [0, 0]
    press(one.page, "ArrowLeft", "ArrowLeft")
    assert check_steps(figure)["step"] == 0
    assert one.page.evaluate("scrollY") == 0
    slide(figure, "pixels laid", 7)
    assert check_steps(figure)["step"] == 7
    figure.get_by_role("button", name="Lay all").click()
    assert check_steps(figure)["step"] == 9
    assert figure.get_by_role("slider", name="pixels laid").input_value() == "9"
    assert "row 2, column 2 is 4, laid last" in figure.locator(".hand").get_attribute("aria-label")


def test_an_input_pixel_is_pointed_at(watched):
    one = watched()
    figure = one.show(interactive.trans_conv(PIXELS, WEIGHT))
    for row, column in [(0, 0), (1, 2), (2, 1)]:
        point(one.page, figure.locator(".hand"), (column + 0.5) / 3, (row + 0.5) / 3)
        assert check_steps(figure)["pixel"][:2] == [row, column]


def test_kernel_stride_and_padding(watched):
    figure = watched().show(interactive.trans_conv(PIXELS, WEIGHT, step=5))
    for kernel, stride, padding in itertools.product((1, 2, 3, 4), (1, 2, 3), (0, 1, 2)):
        slide(figure, "kernel", kernel)
        slide(figure, "stride", stride)
        slide(figure, "padding", padding)
        slide(figure, "pixels laid", 1 + (kernel + 2 * stride + 4 * padding) % 9)
        now = check_steps(figure)
        assert (now["kernel"], now["stride"], now["padding"]) == (kernel, stride, padding)


def test_a_finger_lays_pixels(watched):
    one = watched(has_touch=True, viewport={"width": 360, "height": 900})
    figure = one.show(interactive.trans_conv(PIXELS, WEIGHT))
    tap(one, figure.locator(".hand"), 0.9, 0.5)
    assert check_steps(figure)["pixel"] == [1, 2, 2]


# --- the matrix ---


def matrix_by_loops(kernel, n: int, stride: int, padding: int) -> np.ndarray:
    """The matrix of a convolution, from what it does: which entry of the kernel multiplies which pixel."""
    k = len(kernel)
    m = (n + 2 * padding - k) // stride + 1
    matrix = np.zeros((m * m, n * n), int)
    for i, j, a, b in itertools.product(range(m), range(m), range(k), range(k)):
        row, column = i * stride - padding + a, j * stride - padding + b
        if 0 <= row < n and 0 <= column < n:
            matrix[i * m + j, row * n + column] = kernel[a][b]
    return matrix


def test_the_matrix_is_that_of_convolution(call):
    rng = np.random.default_rng(1)
    cases = [
        (n, k, stride, padding)
        for n, k, stride, padding in itertools.product((3, 4, 5), (2, 3), (1, 2, 3), (0, 1, 2))
        if padding < k
    ]
    for (n, k, stride, padding), got in zip(cases, call("conv_matrix", "entriesOf", cases), strict=True):
        kernel = rng.integers(-9, 10, (k, k))
        places = np.array(got)
        matrix = np.where(places < 0, 0, kernel.flatten()[places.clip(0)])
        assert (matrix == matrix_by_loops(kernel, n, stride, padding)).all()
        units = torch.eye(n * n, dtype=torch.float64).reshape(n * n, 1, n, n)
        oracle = functional.conv2d(units, torch.from_numpy(kernel).double()[None, None], None, stride, padding)
        assert (matrix == oracle.flatten(1).T.numpy()).all()
        own = ops.conv_matrix(torch.from_numpy(kernel).double()[None, None], (n, n), stride, padding)
        assert (matrix == own.numpy()).all()


def check_matrix(figure, kernel=SMALL, pixels=INPUT) -> dict:
    """Compare every number that the figure shows with those of `conv2d` and `conv_transpose2d`."""
    now, n, k = values(figure), len(pixels), len(kernel)
    stride, padding, transposed, cell = (now[name] for name in ("stride", "padding", "transposed", "cell"))
    matrix = matrix_by_loops(kernel, n, stride, padding)
    m = round(len(matrix) ** 0.5)
    x = tensor(pixels)[None, None]
    y = functional.conv2d(x, tensor(kernel)[None, None], None, stride, padding)
    lost = (n + 2 * padding - k) % stride  # lines at the end that the convolution did not reach
    back = functional.conv_transpose2d(y, tensor(kernel)[None, None], None, stride, padding, output_padding=lost)
    assert back.shape == x.shape
    x, y, back = (grid.flatten().int().tolist() for grid in (x, y, back))
    used = matrix.T if transposed else matrix
    assert now["matrix"] == used.tolist()
    assert (now["rows"], now["columns"]) == used.shape
    source, result = (y, back) if transposed else (x, y)
    assert (now["source"], now["result"]) == (source, result)
    assert now["isRow"] == ((now["where"] == "output") != transposed)

    grids = figure.locator(".maps .frame")
    assert [int(text) for text in shown(grids.first, "text")] == (back if transposed else x)
    assert [int(text) for text in shown(grids.last, "text")] == y
    line = np.array(now["line"])
    places = line[line >= 0]
    assert (np.ravel(kernel)[places] == (used[cell] if now["isRow"] else used[:, cell])[line >= 0]).all()
    other = grids.first if now["where"] == "output" else grids.last
    assert other.locator("rect[class*=' e']").count() == len(places)
    same = grids.last if now["where"] == "output" else grids.first
    assert same.locator("rect[class*=' e']").count() == 0
    assert figure.locator(".chosen:not(.casing)").count() == 2  # the pixel, and its row or column

    note = numbers(shown(figure, ".note")[0])
    filled = int((matrix_by_loops(np.ones((k, k), int), n, stride, padding)).sum())
    assert figure.locator(".board rect[class*=' e']").count() == filled
    assert figure.locator(".board rect[class*=' e']:not(.pale)").count() == len(places)
    assert note == [*used.shape, filled, used.size, k * k, 0]
    status = shown(figure, ".status")[0]
    side = m if now["where"] == "output" else n
    assert status.startswith(f"{'Row' if now['isRow'] else 'Column'} {cell} of {'Aᵀ' if transposed else 'A'}. Pixel ")
    assert numbers(status)[:3] == [cell, *divmod(cell, side)]
    if now["isRow"] and len(places):
        terms = status.split(": ")[1].split(" = ")[0].replace("·", "*")
        assert eval(terms) == result[cell] == int(used[cell] @ source)
        assert numbers(status.split(" = ")[1])[0] == result[cell]
    if not now["isRow"]:
        assert f"is {source[cell]}; it" in status
    missed = k * k - len(places) if now["where"] == "output" else 0
    assert (f"; {missed} of the kernel’s entries" in status) == (missed > 0)
    return now


def test_pixels_light_rows_and_columns(watched):
    one = watched()
    figure = one.show(FIGURES["conv_matrix"]())
    assert (check_matrix(figure)["where"], values(figure)["cell"]) == ("output", 0)
    hands = figure.locator(".maps .hand")
    units = 6  # the input's 4 pixels and a line of padding on each side; the output is as large, in the middle
    for where, (i, j) in [(1, (2, 1)), (0, (3, 3)), (0, (0, 2)), (1, (0, 0))]:
        point(one.page, hands.nth(where), (j + 1.5) / units, (i + 1.5) / units)
        now = check_matrix(figure)
        assert (now["where"], now["cell"]) == (["input", "output"][where], 4 * i + j)
    point(one.page, hands.first, 0.01, 0.99)  # in the padding: the nearest pixel
    assert check_matrix(figure)["cell"] == 12


def test_transposed_a_row_becomes_a_column(watched):
    one = watched()
    figure = one.show(FIGURES["conv_matrix"]())
    figure.locator(".maps .hand").last.focus()
    press(one.page, "ArrowRight", "ArrowDown")
    before = check_matrix(figure)
    assert (before["where"], before["cell"], before["isRow"]) == ("output", 5, True)
    figure.get_by_label("transpose the matrix").check()
    after = check_matrix(figure)
    assert (after["where"], after["cell"], after["isRow"]) == ("output", 5, False)
    assert after["line"] == before["line"]
    assert after["result"] != before["source"]  # the shape is back, the numbers are not
    figure.locator(".maps .hand").first.focus()
    press(one.page, "ArrowDown", "ArrowDown", "ArrowRight")
    assert (check_matrix(figure)["cell"], values(figure)["isRow"]) == (5, True)


def test_the_matrix_is_pointed_at(watched):
    one = watched()
    figure = one.show(interactive.conv_matrix(SMALL, INPUT))
    hand = figure.locator(".board .hand")
    point(one.page, hand, 0.3, 2.5 / 4)
    assert (check_matrix(figure)["where"], values(figure)["cell"]) == ("output", 2)
    hand.focus()
    press(one.page, "ArrowDown", "ArrowDown")
    assert check_matrix(figure)["cell"] == 3
    press(one.page, "ArrowLeft", "ArrowRight", "Shift+ArrowRight")  # to the columns: the first, then 1, then 5
    assert (check_matrix(figure)["where"], values(figure)["cell"]) == ("input", 5)
    assert "4 rows and 16 columns, column 5 chosen" in hand.get_attribute("aria-label")
    figure.get_by_label("transpose the matrix").check()
    assert (check_matrix(figure)["rows"], values(figure)["isRow"]) == (16, True)


def test_strides_and_paddings_of_the_matrix(watched):
    figure = watched().show(FIGURES["conv_matrix"]())
    for stride, padding in itertools.product((1, 2, 3), (0, 1, 2)):
        slide(figure, "stride", stride)
        slide(figure, "padding", padding)
        for transposed in (False, True):
            figure.get_by_label("transpose the matrix").set_checked(transposed)
            check_matrix(figure)
            figure.locator(f".maps .hand >> nth={(stride + padding) % 2}").press("ArrowRight")
            check_matrix(figure)


def test_a_small_kernel_and_fingers(watched):
    kernel, pixels = [[1, -2], [3, 4]], np.arange(9).reshape(3, 3).tolist()
    one = watched(has_touch=True, viewport={"width": 360, "height": 900})
    figure = one.show(interactive.conv_matrix(kernel, pixels))
    check_matrix(figure, kernel, pixels)
    assert figure.get_by_role("slider", name="padding").get_attribute("max") == "1"
    tap(one, figure.locator(".maps .hand").first, 0.5, 0.9)
    now = check_matrix(figure, kernel, pixels)
    assert (now["where"], now["cell"]) == ("input", 7)


# --- checkerboards ---


def picture_of(name: str, stride: int) -> torch.Tensor:
    """The input of the figure, its margin with it: each pixel the value in its middle."""
    middle = [(i - MARGIN) * stride + (stride - 1) / 2 for i in range(SIDE // stride + 2 * MARGIN)]
    if name == "constant":
        return torch.full((len(middle), len(middle)), 0.5, dtype=torch.float64)
    wave = lambda at: cos(tau * at / SIDE)  # noqa: E731
    return tensor([[0.45 + 0.17 * wave(x - 15) + 0.12 * wave(y - 20) for x in middle] for y in middle])


def enlarged(name: str, kernel: torch.Tensor, stride: int, method: str) -> torch.Tensor:
    """What the figure's picture must be, with torch's operations."""
    x, k = picture_of(name, stride)[None, None], len(kernel)
    weight = (kernel / kernel.sum())[None, None]
    if method == "transposed":
        whole = functional.conv_transpose2d(x, weight * stride**2, stride=stride)
        first = MARGIN * stride + (k - stride) // 2
    elif method == "resize":
        whole = functional.conv2d(functional.interpolate(x, scale_factor=stride, mode="nearest"), weight)
        first = MARGIN * stride - (k - 1) // 2
    else:  # all kernels of a pixel alike, as ICNR starts them
        whole = functional.pixel_shuffle(functional.conv2d(x, weight.repeat(stride**2, 1, 1, 1)), stride)
        first = (MARGIN - (k - 1) // 2) * stride
    middle = whole[0, 0, first : first + SIDE, first : first + SIDE]
    assert middle.shape == (SIDE, SIDE)
    return middle


METHODS = ("transposed", "resize", "shuffle")


def test_enlarging_is_that_of_torch(call):
    rng = np.random.default_rng(2)
    cases = []
    for k, stride, method in itertools.product((2, 3, 4, 5, 6), (1, 2, 3, 4), METHODS):
        cases.append((rng.random((k, k)).tolist(), stride, method, ["constant", "smooth"][(k + stride) % 2]))
    function = "(kernel, stride, method, name) => enlarge(shrink(PICTURES[name], stride), kernel, stride, method)"
    for (kernel, stride, method, name), got in zip(cases, call("checkerboard", function, cases), strict=True):
        torch.testing.assert_close(tensor(got), enlarged(name, tensor(kernel), stride, method))


def test_spectra_are_those_of_numpy(call):
    rng = np.random.default_rng(3)
    lines = [rng.random(SIDE).tolist() for _ in range(10)] + [[0.0] * SIDE]
    for line, got in zip(lines, call("checkerboard", "spectrum", [[line] for line in lines]), strict=True):
        whole = np.abs(np.fft.rfft(line))
        assert got == pytest.approx((whole[1:] / max(whole[0], 1e-9)).tolist(), abs=1e-12)
    wave = [1 + cos(tau * 5 * at / SIDE) for at in range(SIDE)]
    got = call("checkerboard", "spectrum", [[wave]])[0]
    assert got[4] == pytest.approx(0.5)
    assert max(value for n, value in enumerate(got) if n != 4) < 1e-12


def expected_counts(k: int, stride: int, method: str) -> np.ndarray:
    """Entries for each pixel along one side: those of a line of ones laid with the stride."""
    if method != "transposed":
        return np.full(SIDE, k)
    ones = torch.ones(1, 1, SIDE // stride + 2 * MARGIN, dtype=torch.float64)
    whole = functional.conv_transpose1d(ones, torch.ones(1, 1, k, dtype=torch.float64), stride=stride)[0, 0]
    first = MARGIN * stride + (k - stride) // 2
    counts = whole[first : first + SIDE].int().numpy()
    assert (counts == ops.overlap_counts(ones.shape[-1], k, stride).numpy()[first : first + SIDE]).all()
    return counts


def check_checkerboard(figure, weight) -> dict:
    """Compare every number that the figure shows with torch's and numpy's."""
    now = values(figure)
    k, stride, method, line = (now[name] for name in ("size", "stride", "method", "line"))
    kernel = torch.ones(k, k, dtype=torch.float64) if now["kernel"] == "ones" else tensor(weight)[:k, :k]
    want = enlarged(now["picture"], kernel, stride, method)[line]
    torch.testing.assert_close(tensor(now["values"]), want)
    whole = np.abs(np.fft.rfft(want.numpy()))
    strengths = whole[1:] / whole[0] if whole[0] else whole[1:]
    assert now["strengths"] == pytest.approx(strengths.tolist(), abs=1e-9)
    multiples = [round(SIDE * j / stride) for j in range(1, stride // 2 + 1)]
    assert now["peak"] == pytest.approx(max((strengths[n - 1] for n in multiples), default=0), abs=1e-9)

    counts = expected_counts(k, stride, method)
    empty = counts[line] == 0
    counts = counts * 0 if empty else counts
    assert now["counts"] == counts.tolist()
    assert figure.locator(".entry").count() == counts.sum()
    heights = [
        float(node) for node in figure.locator(".entry").evaluate_all("all => all.map(n => n.getAttribute('height'))")
    ]
    piles = [sum(heights[sum(counts[:at]) : sum(counts[: at + 1])]) for at in range(SIDE)]
    if now["picture"] == "constant" and not empty:  # the bars are the picture's line
        scale = max(piles) / max(now["values"])
        assert piles == pytest.approx([scale * value for value in now["values"]], rel=1e-3)
    text, even = shown(figure, ".status")[0], len(set(counts)) == 1
    if method != "transposed" or (even and (now["kernel"] == "ones" or stride == 1) and not empty):
        assert text.startswith("Even: ")
        assert now["peak"] < 1e-9
    elif empty:
        assert text.startswith("Empty: ")
    elif even:
        assert text.startswith("Even counts, uneven sums: ")
        assert now["peak"] > 1e-3
    else:
        pattern = ", ".join(str(count) for count in [*counts[:stride], *counts[:stride]])
        assert text.startswith(f"Uneven: {pattern}. ")
        assert now["peak"] > 0.05
    if even and not empty:
        assert k % stride == 0 or method != "transposed"
    if stride > 1 and not empty:
        words = re.search(r"peaks at (\d)/(\d): (\d\.\d\d) of the mean", text)
        assert (words is not None) == (now["peak"] > 0.0005)
        if words:
            assert int(words[1]) / int(words[2]) == pytest.approx(now["at"])
            assert float(words[3]) == pytest.approx(now["peak"], abs=0.0051)
    assert figure.locator("circle.peak").count() == len(multiples)
    assert figure.locator(".weight").count() == k * k
    return now


def test_every_kernel_and_stride(watched):
    made = FIGURES["checkerboard"]()
    figure = watched().show(made)
    for kernel, picture in [("ones", "constant"), ("random", "smooth"), ("ones", "smooth"), ("random", "constant")]:
        figure.get_by_label(kernel, exact=True).check()
        figure.get_by_label(picture, exact=True).check()
        for k, stride in itertools.product((2, 3, 4, 5, 6), (1, 2, 3, 4)):
            slide(figure, "kernel", k)
            slide(figure, "stride", stride)
            now = check_checkerboard(figure, made.state["weight"])
            assert (now["size"], now["stride"], now["kernel"], now["picture"]) == (k, stride, kernel, picture)


def test_the_cures_show_none(watched):
    made = FIGURES["checkerboard"]()
    figure = watched().show(made)
    assert check_checkerboard(figure, made.state["weight"])["peak"] > 0.3  # kernel 3, stride 2
    for label, method in [("resize, then convolve", "resize"), ("pixel shuffle, ICNR", "shuffle")]:
        figure.get_by_label(label).check()
        for kernel, k, stride in [("ones", 3, 2), ("random", 5, 4), ("random", 6, 3), ("ones", 2, 1)]:
            figure.get_by_label(kernel, exact=True).check()
            slide(figure, "kernel", k)
            slide(figure, "stride", stride)
            now = check_checkerboard(figure, made.state["weight"])
            assert (now["method"], now["peak"] < 1e-9) == (method, True)
            if stride > 1:
                assert "has no peak at" in shown(figure, ".status")[0]


def test_another_line_and_holes(watched):
    made = FIGURES["checkerboard"]()
    one = watched()
    figure = one.show(made)
    assert check_checkerboard(figure, made.state["weight"])["line"] == 25
    hand = figure.locator(".hand")
    point(one.page, hand, 0.5, 10.5 / SIDE)
    assert check_checkerboard(figure, made.state["weight"])["line"] == 10
    hand.focus()
    press(one.page, "ArrowDown", "Shift+ArrowDown", "ArrowUp", "ArrowUp")
    assert check_checkerboard(figure, made.state["weight"])["line"] == 17
    assert "line 17 chosen" in hand.get_attribute("aria-label")
    assert one.page.evaluate("scrollY") == 0
    slide(figure, "kernel", 2)
    slide(figure, "stride", 4)
    said = set()
    for _ in range(4):
        press(one.page, "ArrowDown")
        check_checkerboard(figure, made.state["weight"])
        said.add(shown(figure, ".status")[0].split(":")[0])
        hand.focus()
    assert said == {"Uneven", "Empty"}


def test_the_picture_is_what_is_drawn(watched):
    """The greys of the embedded picture, read back, are the values of the line."""
    one = watched()
    figure = one.show(FIGURES["checkerboard"]())
    now = values(figure)
    read = """async (host) => { const image = new Image();
        image.src = host.shadowRoot.querySelector('image').getAttribute('href'); await image.decode();
        const pen = new OffscreenCanvas(48, 48).getContext('2d'); pen.drawImage(image, 0, 0);
        return [...pen.getImageData(0, 25, 48, 1).data].filter((_, i) => i % 4 === 0); }"""
    greys = figure.evaluate(read)
    want = np.clip(255 * np.array(now["values"]), 0, 255)
    assert np.abs(np.array(greys) - want).max() <= 0.51


def test_a_finger_chooses_a_line(watched):
    one = watched(has_touch=True, viewport={"width": 360, "height": 900})
    made = FIGURES["checkerboard"]()
    figure = one.show(made)
    tap(one, figure.locator(".hand"), 0.4, 30.5 / SIDE)
    assert check_checkerboard(figure, made.state["weight"])["line"] == 30


# --- what holds for every figure ---


TestEveryFigure = rules_for(FIGURES, act)
