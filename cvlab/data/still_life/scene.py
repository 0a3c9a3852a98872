"""A scene: what lies where, drawn one over another, with exact masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cvlab.data.still_life import citrus, fruits, small_fruits
from cvlab.data.still_life.backgrounds import BACKGROUNDS
from cvlab.data.still_life.light import draw_light, expose
from cvlab.data.still_life.props import PROPS
from cvlab.data.still_life.rng import Random
from cvlab.data.still_life.surface import Fruit, Light, Part, shade

VERSION = 1
SPLITS = ("train", "val", "test")
MIN_VISIBLE = 0.3  # of an object's whole area; nothing is laid so that less of a fruit is seen
MAX_FRUITS = 16
MAX_DISTRACTORS = 8


@dataclass(frozen=True)
class Kind:
    """A kind of fruit: how to make one, and half its length relative to an apple's radius."""

    name: str
    plural: str
    make: Callable[[Random], Fruit]
    size: float


_ALL = (
    Kind("banana", "bananas", fruits.banana, 1.6),
    Kind("apple", "apples", fruits.apple, 1.0),
    Kind("pear", "pears", fruits.pear, 1.22),
    Kind("orange", "oranges", citrus.orange, 1.0),
    Kind("lemon", "lemons", citrus.lemon, 0.95),
    Kind("lime", "limes", citrus.lime, 0.78),
    Kind("plum", "plums", small_fruits.plum, 0.75),
    Kind("strawberry", "strawberries", small_fruits.strawberry, 0.72),
    Kind("peach", "peaches", small_fruits.peach, 0.95),
    Kind("kiwi", "kiwis", citrus.kiwi, 0.82),
)
_BY_NAME = {kind.name: kind for kind in _ALL}
KINDS = tuple(_BY_NAME)


@dataclass
class Scene:
    """A rendered still life and its ground truth, as numpy arrays.

    Attributes:
        image: uint8 (3, H, W).
        owner: int32 (H, W): 0 for nothing or an unlabeled thing, k for object k - 1.
        kinds: each object's kind, in the order in which they were laid: later ones lie on top.
        visibility: float32 (N,): visible part of each object's whole area, what lies outside the picture included.
        keypoints: float32 (N, 3, 2): stem, tip and centre, xy in pixels.
        keypoints_visible: bool (N, 3): on the upper side, inside the picture and not covered by another thing.
        caption: one line that says what there is.
    """

    image: np.ndarray
    owner: np.ndarray
    kinds: list[str]
    visibility: np.ndarray
    keypoints: np.ndarray
    keypoints_visible: np.ndarray
    caption: str


@dataclass
class _Placed:
    """An object that lies somewhere: centre and half size in pixels, and the cosine and sine of its turn."""

    x: float
    y: float
    half: float
    turn: tuple[float, float]
    identity: int  # its number in `owner`; -1 for unlabeled things
    area: int = 0


class _Canvas:
    """The layers being painted, and who owns each pixel."""

    def __init__(self, ground: np.ndarray, relief: np.ndarray, light: Light) -> None:
        self.height, self.width = ground.shape[1:]
        self.light = light
        self.layers = np.zeros((7, self.height, self.width), np.float32)
        lit = relief * np.float32(light.direction[2])
        for c in range(3):
            self.layers[c] = ground[c] * (lit * light.key[c])
            self.layers[3 + c] = ground[c] * light.sky[c]
        self.owner = np.zeros((self.height, self.width), np.int32)
        self.areas: dict[int, int] = {}  # whole area of each labeled object, in pixels
        self.seen: dict[int, int] = {}  # and what is visible of it

    def window(self, part: Part, at: _Placed) -> tuple[int, int, int, int]:
        """Return the pixel window (x0, y0, x1, y1) of a part, not cut at the picture's edge."""
        c, s = at.turn
        x0, y0, x1, y1 = part.box
        mx, my, rx, ry = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
        cx, cy = at.x + at.half * (c * mx - s * my), at.y + at.half * (s * mx + c * my)
        wx, wy = at.half * (abs(c) * rx + abs(s) * ry) + 1, at.half * (abs(s) * rx + abs(c) * ry) + 1
        return int(cx - wx), int(cy - wy), int(cx + wx) + 1, int(cy + wy) + 1

    def draw(self, parts: list[Part], at: _Placed) -> list[tuple]:
        """Shade the parts of an object; return (window, coverage, layers) of each, nothing painted yet."""
        c, s = at.turn
        lx, ly, lz = self.light.direction
        towards = (c * lx + s * ly, c * ly - s * lx, lz)  # the lamp as seen from the object's frame
        pixel = 1 / at.half
        drawn = []
        for part in parts:
            x0, y0, x1, y1 = self.window(part, at)
            px = ((np.arange(x0, x1) + (0.5 - at.x)) * pixel).astype(np.float32)
            py = ((np.arange(y0, y1) + (0.5 - at.y)) * pixel).astype(np.float32)[:, None]
            c32, s32 = np.float32(c), np.float32(s)
            x, y = px * c32 + py * s32, py * c32 - px * s32
            cover, layers = shade(part.paint(x, y, pixel), towards, self.light, pixel)
            layers[6] *= np.float32(at.half)
            drawn.append(((x0, y0, x1, y1), cover, layers))
        return drawn

    def footprint(self, drawn: list[tuple]) -> tuple[tuple[int, int, int, int], np.ndarray]:
        """Return the window round all parts and the mask of the pixels that are theirs."""
        x0, y0 = min(d[0][0] for d in drawn), min(d[0][1] for d in drawn)
        x1, y1 = max(d[0][2] for d in drawn), max(d[0][3] for d in drawn)
        mask = np.zeros((y1 - y0, x1 - x0), bool)
        for (a, b, c, d), cover, _ in drawn:
            mask[b - y0 : d - y0, a - x0 : c - x0] |= cover >= 0.5
        return (x0, y0, x1, y1), mask

    def paint(self, drawn: list[tuple], lift: float) -> None:
        """Lay the parts over what is there."""
        for box, cover, layers in drawn:
            inner, outer = self.clip(box)
            if inner is None:
                continue
            alpha, new, old = cover[inner], layers[(slice(None), *inner)], self.layers[(slice(None), *outer)]
            new[6] += np.float32(lift)
            old += (new - old) * alpha

    def clip(self, box: tuple[int, int, int, int]) -> tuple:
        """Return the slices of a window that lie in the picture, in the window and in the picture; None if none do."""
        x0, y0, x1, y1 = box
        a, b, c, d = max(x0, 0), max(y0, 0), min(x1, self.width), min(y1, self.height)
        if a >= c or b >= d:
            return None, None
        return (slice(b - y0, d - y0), slice(a - x0, c - x0)), (slice(b, d), slice(a, c))

    def lay(self, parts: list[Part], at: _Placed) -> bool:
        """Lay an object over the others, unless it would hide too much of one or lie too far outside; say whether."""
        drawn = self.draw(parts, at)
        box, mask = self.footprint(drawn)
        inner, outer = self.clip(box)
        whole = int(mask.sum())
        if inner is None or whole == 0:
            return False
        mask, owner = mask[inner], self.owner[outer]
        if at.identity > 0 and mask.sum() < (MIN_VISIBLE + 0.25) * whole:
            return False
        below = np.bincount(owner[mask] + 1)[2:]  # how many pixels of objects 1, 2, ... it would hide
        for identity, hides in enumerate(below.tolist(), 1):
            if hides and self.seen[identity] - hides < (MIN_VISIBLE + 0.1) * self.areas[identity]:
                return False
        under = self.layers[6][outer][mask]
        self.paint(drawn, lift=float(under.max()) * 0.45 if len(under) else 0.0)
        owner[mask] = at.identity
        for identity, hides in enumerate(below.tolist(), 1):
            self.seen[identity] = self.seen[identity] - hides
        if at.identity > 0:
            self.areas[at.identity], self.seen[at.identity] = whole, int(mask.sum())
        return True


def _direction(random: Random) -> tuple[float, float]:
    while True:
        c, s = random.uniform(-1, 1), random.uniform(-1, 1)
        norm = (c * c + s * s) ** 0.5
        if 0.1 < norm < 1:
            return c / norm, s / norm


def _spot(
    random: Random, half: float, size: tuple[int, int], placed: list[_Placed], close: float, gather: float
) -> tuple[float, float]:
    """Find a place for a disc: of several tries the first far enough from the others, else the farthest.

    `close` is the least distance of two centres over the sum of their half sizes; `gather` from 0 to 1 draws things
    towards the middle of the picture.
    """
    height, width = size
    margin = min(0.72 * half, 0.4 * min(size))
    best, most = (width / 2, height / 2), -1e9
    for _ in range(14):
        across, down = (random.uniform() * (1 - gather / 2) + random.uniform() * gather / 2 for _ in range(2))
        x, y = margin + across * (width - 2 * margin), margin + down * (height - 2 * margin)
        free = min((((x - o.x) ** 2 + (y - o.y) ** 2) ** 0.5 - close * (half + o.half) for o in placed), default=1.0)
        if free > most:
            best, most = (x, y), free
        if free >= 0:
            break
    return best


def _words(counts: Counter[str], kinds: Sequence[str], where: str) -> str:
    numbers = ("no", "a", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    terms = []
    for name in kinds:
        n = counts[name]
        if n == 1:
            terms.append(f"{'an' if name[0] in 'aeiou' else 'a'} {name}")
        elif n > 1:
            terms.append(f"{numbers[n] if n < len(numbers) else n} {_BY_NAME[name].plural}")
    listed = " and ".join([", ".join(terms[:-1]), terms[-1]] if len(terms) > 1 else terms)
    return f"{listed} {where}".strip() if terms else f"nothing {where}"


def render(
    random: Random,
    size: tuple[int, int],
    split: str,
    kinds: Sequence[str],
    count: tuple[int, int],
    distractors: tuple[int, int],
    backgrounds: Sequence[str],
    scale: tuple[float, float],
) -> Scene:
    """Render one scene; `StillLife` documents and checks the arguments."""
    short = min(size)
    light = draw_light(random)
    ground, relief, where = BACKGROUNDS[random.choice(backgrounds)](random, *size, light, split)
    canvas = _Canvas(ground, relief, light)
    fruit = [random.choice(kinds) for _ in range(random.integer(count[0], count[1] + 1))]
    unlabeled = random.integer(distractors[0], distractors[1] + 1)
    base, close, gather = random.uniform(*scale), random.uniform(0.42, 0.8), random.uniform()
    placed: list[_Placed] = []

    things = [random.choice(tuple(PROPS)) for _ in range(unlabeled)]
    things.sort(key=list(PROPS).index, reverse=True)  # plates below, cups and knives next, small things above
    order: list[tuple[str, bool]] = [(name, False) for name in things if name in ("plate", "cup", "knife")][:2]
    rest = [(name, True) for name in fruit] + [
        (name, False) for name in things if name not in ("plate", "cup", "knife")
    ]
    for k in range(len(rest) - 1, 0, -1):
        j = random.integer(0, k + 1)
        rest[k], rest[j] = rest[j], rest[k]

    laid: list[str] = []
    individuals: list[tuple[_Placed, Fruit]] = []
    for name, labeled in order + rest:
        shrink = 1.0
        for _ in range(12):
            if labeled:
                half = short * min(0.25, max(0.09, base * _BY_NAME[name].size * random.uniform(0.88, 1.12))) * shrink
            else:
                half = short * random.uniform(*PROPS[name][1:]) * shrink
            flat = name == "plate"
            x, y = _spot(random, half, size, [] if flat else placed, close, gather)
            at = _Placed(x, y, half, _direction(random), len(laid) + 1 if labeled else -1)
            made = _BY_NAME[name].make(random) if labeled else Fruit(PROPS[name][0](random), (0, 0), (0, 0))
            if canvas.lay(made.parts, at):
                if not flat:
                    placed.append(at)
                if labeled:
                    laid.append(name)
                    individuals.append((at, made))
                break
            shrink *= 0.94
    image = expose(canvas.layers, light, random)
    return _truth(image, canvas, individuals, laid, _words(Counter(laid), kinds, where))


def _truth(
    image: np.ndarray, canvas: _Canvas, individuals: list[tuple[_Placed, Fruit]], kinds: list[str], caption: str
) -> Scene:
    n = len(kinds)
    owner = canvas.owner
    areas = np.array([canvas.areas[k + 1] for k in range(n)], np.float32)
    seen = np.array([canvas.seen[k + 1] for k in range(n)], np.float32)
    points = np.zeros((n, 3, 2), np.float32)
    upper = np.ones((n, 3), bool)
    for k, (at, fruit) in enumerate(individuals):
        c, s = at.turn
        upper[k, :2] = fruit.seen
        for j, (x, y) in enumerate((fruit.stem, fruit.tip, fruit.centre)):
            points[k, j] = at.x + at.half * (c * x - s * y), at.y + at.half * (s * x + c * y)
    cell = np.floor(points).astype(np.int64)
    inside = (cell >= 0).all(-1) & (cell[..., 0] < canvas.width) & (cell[..., 1] < canvas.height)
    xs, ys = np.clip(cell[..., 0], 0, canvas.width - 1), np.clip(cell[..., 1], 0, canvas.height - 1)
    visible = upper & inside & (owner[ys, xs] == np.arange(1, n + 1)[:, None])
    return Scene(image, np.maximum(owner, 0), kinds, seen / np.maximum(areas, 1), points, visible, caption)
