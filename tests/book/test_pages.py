"""Every page of the built book, in a browser: complete offline, without errors, accessible, and fit for a phone."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch

from cvlab import ops

pytestmark = pytest.mark.browser

HTML = Path(__file__).resolve().parents[2] / "_build" / "html"
REDIRECT = re.compile(r'http-equiv="refresh"[^>]*url=([^"]+)"', re.IGNORECASE)
PICTURE_NAME = re.compile(r"\.(png|jpe?g|gif|svg|webp)$", re.IGNORECASE)
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}


def built_pages() -> list[str]:
    """The addresses of the book's own pages; templates that the theme leaves in `_static` are none."""
    found = (path.relative_to(HTML) for path in HTML.rglob("*.html"))
    return sorted(path.as_posix() for path in found if path.parts[0] != "_static")


PAGES = built_pages()


@pytest.fixture(scope="module", autouse=True)
def _book() -> None:
    """Skip everything without a built book; in CI, where the build comes first, fail."""
    if not PAGES:
        reason = f"the book is not built: no pages in {HTML.parent.name}/{HTML.name} (run `make book`)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without writing a line for each request."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The address of a server of the book on this machine."""
    handler = functools.partial(QuietHandler, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Visit:
    """One page in the browser, and whatever went wrong on it."""

    def __init__(self, page, base: str) -> None:
        self.page, self.base = page, base
        self.problems: list[str] = []
        page.on("request", self._request)
        page.on("requestfailed", lambda request: self.problems.append(f"failed: {request.url}"))
        page.on("response", lambda r: self.problems.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        page.on("websocket", lambda socket: self.problems.append(f"opened a socket: {socket.url}"))
        page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        page.on("console", lambda m: self.problems.append(f"console: {m.text}") if m.type == "error" else None)

    def _request(self, request) -> None:
        if not request.url.startswith((f"{self.base}/", "data:", "blob:")):
            self.problems.append(f"asked another host: {request.url}")

    def open(self, address: str) -> None:
        """Open a page and wait until formulas are set and interactive figures stand."""
        self.page.goto(f"{self.base}/{address}", wait_until="load")
        self.page.evaluate("async () => { if (window.MathJax?.startup) await MathJax.startup.promise; }")
        self.page.wait_for_load_state("networkidle")


@pytest.fixture(scope="module")
def context(browser) -> Iterator:
    """One window for all pages, so that what they share is loaded once."""
    context = browser.new_context(viewport=DESK, color_scheme="light")
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def visit(context, request) -> Iterator:
    """A function that opens a page of the book under an address."""
    opened = []

    def start(base: str, address: str) -> Visit:
        page = context.new_page()
        opened.append(page)
        result = Visit(page, base)
        result.open(address)
        return result

    yield start
    for page in opened:
        page.close()


def redirect_of(address: str) -> str | None:
    """Where a page only sends its reader on, to that page."""
    found = REDIRECT.search((HTML / address).read_text(encoding="utf-8")[:2000])
    return found[1].strip() if found else None


# Each of these looks into shadow roots too, in which interactive figures live.
EVERYWHERE = """
function* everywhere(root) {
  for (const node of root.querySelectorAll("*")) {
    yield node;
    if (node.shadowRoot) yield* everywhere(node.shadowRoot);
  }
}
"""


def images_without_text(page) -> list[str]:
    """Pictures without an alternative text, or with only a file's name in its place."""
    images = page.evaluate(
        f"() => {{ {EVERYWHERE} return [...everywhere(document)].filter(n => n.tagName === 'IMG')"
        ".map(n => [n.getAttribute('src').slice(0, 100), n.getAttribute('alt')]); }"
    )
    return [f"{source}: alt {alt!r}" for source, alt in images if not (alt or "").strip() or PICTURE_NAME.search(alt)]


def figures_without_label(page) -> list[str]:
    """Interactive figures that did not start, or whose figure element has no name."""
    return page.evaluate(
        "() => [...document.querySelectorAll('.cvlab-figure')].filter(host =>"
        " !host.shadowRoot?.querySelector('figure')?.getAttribute('aria-label')?.trim()).map(host => host.id)"
    )


def accessibility_findings(page, axe_script: str) -> list[str]:
    """Serious and critical findings of axe-core."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe_script)
    violations = page.evaluate("async () => (await axe.run(document, { resultTypes: ['violations'] })).violations")
    return [
        f"{v['impact']} {v['id']}: {node['html'][:160]} ({(node.get('failureSummary') or '').splitlines()[-1].strip()})"
        for v in violations
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]


def wider_than_the_window(page) -> list[str]:
    """What makes the page scroll sideways, or is cut off at its right edge outside of a box that scrolls."""
    return page.evaluate(
        """() => {
          const limit = innerWidth + 1;
          const scrolls = (node) => { for (let n = node.parentElement; n && n !== document.body; n = n.parentElement)
            if (/auto|scroll/.test(getComputedStyle(n).overflowX)) return true; return false; };
          const wide = [...document.querySelectorAll("article *")].filter((node) => {
            const box = node.getBoundingClientRect();
            return box.width > 1 && box.height > 1 && box.right > limit && !scrolls(node) && node.checkVisibility(
              { visibilityProperty: true, opacityProperty: true }); });
          const whole = document.documentElement.scrollWidth;
          const end = (node) => Math.round(node.getBoundingClientRect().right);
          const found = wide.slice(0, 8).map((node) => `${node.outerHTML.slice(0, 120)} ends at ${end(node)}`);
          return whole > limit ? [`the page is ${whole} pixels wide`, ...found] : found;
        }"""
    )


def set_theme(page, scheme: str) -> None:
    """Make the system light or dark, which the page follows; colours on their way there arrive at once."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
    page.evaluate("() => document.getAnimations().forEach((a) => { try { a.finish(); } catch { a.cancel(); } })")


@pytest.mark.parametrize("address", PAGES)
def test_a_page_over_http(visit, served, axe_script, address):
    target = redirect_of(address)
    if target is not None:
        assert (HTML / address).parent.joinpath(target).exists()
        return
    page = (opened := visit(served, address)).page
    problems = [f"picture without text: {image}" for image in images_without_text(page)]
    problems += [f"figure without label: {figure}" for figure in figures_without_label(page)]
    for scheme in ("light", "dark"):
        set_theme(page, scheme)
        problems += [f"{scheme}, {finding}" for finding in accessibility_findings(page, axe_script)]
    page.set_viewport_size(PHONE)
    problems += [f"at 360 pixels: {wide}" for wide in wider_than_the_window(page)]
    problems += opened.problems
    assert not problems, f"{address}:\n" + "\n".join(problems)


@pytest.mark.parametrize("address", PAGES)
def test_a_page_from_a_file(visit, address):
    if redirect_of(address) is not None:
        return
    opened = visit(HTML.as_uri(), address)
    problems = [f"figure without label: {figure}" for figure in figures_without_label(opened.page)] + opened.problems
    assert not problems, f"{address}:\n" + "\n".join(problems)


# The interactive figures of the chapter, as its reader has them: the built page, not one made for a test.

CHAPTER = "book/boxes.html"
FIGURES = ("iou", "anchors", "matching", "nms", "quiz")


@pytest.fixture(scope="module", params=["http", "file"])
def chapter(context, served, request) -> Iterator[Visit]:
    """The built chapter, from a server and from a file; at the end nothing has gone wrong on it."""
    opened = Visit(context.new_page(), served if request.param == "http" else HTML.as_uri())
    opened.open(CHAPTER)
    yield opened
    opened.page.close()
    assert not opened.problems


def figure_of(chapter: Visit, name: str):
    """The figure of that name, in the middle of the window."""
    figure = chapter.page.locator(f'.cvlab-figure[id^="cvlab-{name}-"]')
    assert figure.count() == 1
    figure.evaluate("node => node.scrollIntoView({ block: 'center', behavior: 'instant' })")
    return figure


def values(figure) -> dict:
    return json.loads(figure.get_attribute("data-values"))


def press(node, *keys: str) -> None:
    """Press keys on a node that has the keyboard's focus."""
    node.focus()
    for key in keys:
        node.page.keyboard.press(key)


def drag(node, dx: float, dy: float) -> None:
    """Drag a node by its middle, by pixels of the screen."""
    node.evaluate("node => node.scrollIntoView({ block: 'center', behavior: 'instant' })")
    box, mouse = node.bounding_box(), node.page.mouse
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + dx / 2, y + dy / 2)
    mouse.move(x + dx, y + dy)
    mouse.up()


def check_measures(now: dict) -> None:
    """Compare what the two boxes publish with Python's numbers for the same boxes."""
    a, b = (torch.tensor([now[name]], dtype=torch.float64) for name in "ab")
    functions = (ops.box_iou, ops.generalized_box_iou, ops.distance_box_iou, ops.complete_box_iou)
    expected = [float(function(a, b)) for function in functions]
    assert [now[name] for name in ("iou", "giou", "diou", "ciou")] == pytest.approx(expected, abs=1e-6)
    assert [now["areas"][name] for name in "ab"] == pytest.approx([float(ops.box_area(box)) for box in (a, b)])


def test_the_chapter_has_every_figure(chapter):
    for name in FIGURES:
        assert values(figure_of(chapter, name))


def test_two_boxes_of_the_chapter_follow_mouse_and_keys(chapter):
    figure = figure_of(chapter, "iou")
    check_measures(before := values(figure))
    drag(figure.locator(".nw[data-box=a]"), 24, 18)
    check_measures(dragged := values(figure))
    assert dragged["a"][0] > before["a"][0]
    assert dragged["a"][1] > before["a"][1]
    assert (dragged["a"][2:], dragged["b"]) == (before["a"][2:], before["b"])
    assert dragged["iou"] != before["iou"]
    press(figure.locator(".body[data-box=b]"), "ArrowLeft", "ArrowUp", "ArrowUp")
    check_measures(moved := values(figure))
    assert moved["b"] == [side - step for side, step in zip(dragged["b"], (1, 2, 1, 2), strict=True)]


def test_anchors_of_the_chapter_follow_mouse_and_keys(chapter):
    figure = figure_of(chapter, "anchors")
    before, box = values(figure), figure.locator("svg").bounding_box()
    chapter.page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 2)
    pointed = values(figure)
    assert pointed["cell"][1] == 0
    assert pointed["anchors"] != before["anchors"]
    press(figure.locator(".hand"), "ArrowRight", "ArrowRight")
    assert values(figure)["cell"] == [pointed["cell"][0], 2]
    press(figure.get_by_role("slider", name="rows"), "End")
    assert values(figure)["total"] == 24 * before["columns"] * before["per_cell"]


@pytest.mark.parametrize(
    ("name", "button", "slider"), [("matching", "Next", "threshold"), ("nms", "To the end", "IoU")]
)
def test_steps_of_the_chapter_follow_mouse_and_keys(chapter, name, button, slider):
    figure = figure_of(chapter, name)
    before = values(figure)
    figure.get_by_role("button", name=button).click()
    clicked = values(figure)
    done = {"matching": "step", "nms": "rounds"}[name]
    assert clicked[done] > before[done] == 0
    press(figure.get_by_role("slider", name=slider), "Home", "ArrowRight")
    assert values(figure)["threshold"] == pytest.approx(0.01)
    assert before["threshold"] != pytest.approx(0.01)


def test_the_quiz_of_the_chapter_follows_mouse_and_keys(chapter):
    figure = figure_of(chapter, "quiz")
    assert values(figure)["answered"] == 0
    figure.locator(".options button").nth(1).click()
    assert values(figure)["chosen"][0] == [1]
    press(figure.locator(".options button").nth(0), "Enter")
    assert values(figure)["chosen"][0] == [1, 0]
    press(figure.get_by_role("button", name="Next question"), "Enter")
    assert values(figure)["current"] == 1


@pytest.mark.parametrize(
    ("name", "slider"),
    [("mask_jpeg", "quality"), ("letterbox", "width"), ("augmentation", "rotate"), ("mixing", "λ"), ("quiz", "")],
)
def test_figures_of_the_chapter_on_images(visit, served, name, slider):
    opened = visit(served, "book/augmentation.html")
    figure = figure_of(opened, name)
    figure.page.wait_for_function("node => 'values' in node.dataset", arg=figure.element_handle())
    before = values(figure)
    if slider:
        press(figure.get_by_role("slider", name=slider).first, "ArrowLeft", "ArrowLeft")
    else:
        figure.locator(".options button").first.click()
    figure.page.wait_for_timeout(300)  # a redraw waits for the next frame
    assert values(figure) != before
    assert not opened.problems


@pytest.mark.parametrize(
    ("name", "slider"), [("feature_maps", "IoU"), ("thresholds", "score"), ("training", "step"), ("quiz", "")]
)
def test_figures_of_the_chapter_on_ssd(visit, served, name, slider):
    opened = visit(served, "book/ssd.html")
    figure = figure_of(opened, name)
    figure.page.wait_for_function("node => 'values' in node.dataset", arg=figure.element_handle())
    before = values(figure)
    if name == "quiz":
        figure.locator(".options button").first.click()
    else:
        press(figure.get_by_role("slider", name=slider).first, "ArrowRight", "ArrowRight")
    figure.page.wait_for_timeout(300)
    assert values(figure) != before
    assert not opened.problems


@pytest.mark.parametrize(
    ("page", "name", "slider"),
    [
        ("proposals", "grouping", "merges"),
        ("proposals", "roi", "samples"),
        ("proposals", "quiz", ""),
        ("mask_rcnn", "proposals", "best first"),
        ("mask_rcnn", "mask_head", "threshold"),
        ("mask_rcnn", "quiz", ""),
        ("transposed", "trans_conv", "pixels laid"),
        ("transposed", "conv_matrix", "stride"),
        ("transposed", "checkerboard", "kernel"),
        ("transposed", "quiz", ""),
        ("segmentation", "upsampling_path", "step"),
        ("segmentation", "overlay", "how much of it"),
        ("segmentation", "class_weights", "weight"),
        ("segmentation", "tiles", "side of a tile"),
        ("segmentation", "quiz", ""),
    ],
)
def test_figures_of_the_chapters_on_regions_and_pixels(visit, served, page, name, slider):
    opened = visit(served, f"book/{page}.html")
    figure = figure_of(opened, name)
    figure.page.wait_for_function("node => 'values' in node.dataset", arg=figure.element_handle())
    before = values(figure)
    if name == "quiz":
        figure.locator(".options button").first.click()
    else:
        press(figure.get_by_role("slider", name=slider).first, "ArrowRight")
    figure.page.wait_for_timeout(300)
    assert values(figure) != before
    assert not opened.problems


@pytest.mark.parametrize("address", PAGES)
def test_links_within_the_book_lead_somewhere(address):
    text = (HTML / address).read_text(encoding="utf-8")
    broken = []
    for link in sorted(set(re.findall(r'<a\b[^>]*?\bhref="([^"]+)"', text))):
        parts = urlsplit(link.replace("&amp;", "&"))
        if parts.scheme or parts.netloc:
            continue
        target = (HTML / address).parent / unquote(parts.path) if parts.path else HTML / address
        place = unquote(parts.fragment) if target.suffix == ".html" else ""
        if not target.exists() or (place and place not in _ids(target.resolve())):
            broken.append(link)
    assert not broken, f"{address} links to what is not there: {broken}"


@functools.cache
def _ids(path: Path) -> frozenset[str]:
    return frozenset(re.findall(r'\bid="([^"]+)"', path.read_text(encoding="utf-8")))
