"""cvlab.augment and cvlab.preprocess against torchvision, Pillow, torch, albumentations, and what d2l does."""

import math
import os
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from benchmarks.timing import Row
from cvlab import preprocess
from cvlab.augment import (
    ColourJitter,
    Flip,
    Geometric,
    Perspective,
    ResizedCrop,
    ShiftScaleRotate,
    Warp,
    affine,
    colour,
    for_detection,
)
from cvlab.data import photos
from cvlab.ops import clip_boxes_to_image

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # or it would ask a server for its newest version
import albumentations as alb  # noqa: E402
import cv2  # noqa: E402
from albumentations.pytorch import ToTensorV2  # noqa: E402

COUNT, REPEATS = 32, 2
OLD, NEW, WIDE = (320, 320), (256, 256), (480, 640)
CROP, JITTER, P = (0.3, 1.0), (0.3, 0.3, 0.3, 0.02), 0.8  # those of `for_detection`
COLOURFUL = ("astronaut", "chelsea", "coffee", "rocket", "china", "flower")
MASK_BOXES = ((10, 40, 200, 160), (60, 100, 250, 300), (150, 20, 310, 180))
TURNS = (0.02, 0.05, 0.1)  # of hue, for `NOTES`
BILINEAR = v2.InterpolationMode.BILINEAR

TEXT = """
Time for {count} pictures, uint8 where nothing else is said, cut out of photographs. Peers draw from the same ranges
with the same probabilities, and all end with a tensor. "torchvision" is its transforms v2 on tensors, "PIL" the same on
Pillow's pictures; "d2l" is transforms v1 on Pillow's pictures, as in its chapter on augmentation, and moves no boxes.
albumentations shrinks without antialiasing, and its perspective has another distribution.

Pictures a second, first row: {rates}.

cvlab turns the hue around the grey axis, the others in HSV. In grey levels, on {photos} photographs, the two differ by
{gaps}.
"""


@dataclass
class Batch:
    """Transforms all pictures, with the same random numbers in every call, and returns the seconds.

    Attributes:
        apply: What to do with the picture of an index.
        seed: What sets the random numbers.
        best: The shortest time of all calls.
    """

    apply: Callable[[int], object]
    seed: Callable[[int], object] = torch.manual_seed
    best: float = math.inf

    def __call__(self) -> float:
        """Measure twice as many as needed, so that chance has less of a say, and halve."""
        self.seed(0)
        start = time.perf_counter()
        for i in [*range(COUNT)] * REPEATS:
            self.apply(i)
        seconds = (time.perf_counter() - start) / REPEATS
        self.best = min(self.best, seconds)
        return seconds


recipe: dict[str, Batch] = {}  # the first row's, for `NOTES`


class Pictures:
    """Pictures with five boxes each, or with three masks and their boxes, in the form that each library wants."""

    def __init__(self, masks: bool = False) -> None:
        generator = torch.Generator().manual_seed(0)
        self.tensors = [_cut(i, OLD, generator) for i in range(COUNT)]
        self.arrays = [_array(t) for t in self.tensors]
        self.pillow = [Image.fromarray(a) for a in self.arrays]
        corners = torch.rand(COUNT, 5, 2, generator=generator) * 240
        boxes = torch.cat([corners, corners + 30 + 50 * torch.rand(COUNT, 5, 2, generator=generator)], dim=2)
        self.targets = [{"boxes": b, "labels": torch.arange(1, 6)} for b in boxes]
        if masks:
            own = {"boxes": torch.tensor(MASK_BOXES).float(), "labels": torch.arange(1, 4), "masks": _ellipses()}
            self.targets = [own] * COUNT

    def ours(self, transform: nn.Module) -> Batch:
        """Run cvlab's transform."""
        return Batch(lambda i: transform(self.tensors[i], self.targets[i]))

    def torchvision(self, *steps: nn.Module) -> dict[str, Batch]:
        """Run transforms v2 on tensors and on Pillow's pictures."""
        targets = [_wrapped(t) for t in self.targets]
        images = [tv_tensors.Image(t) for t in self.tensors]
        tidy = v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes()
        on_tensors, on_pillow = v2.Compose([*steps, *tidy]), v2.Compose([*steps, *tidy, v2.PILToTensor()])
        return {
            "torchvision": Batch(lambda i: on_tensors(images[i], targets[i])),
            "PIL": Batch(lambda i: on_pillow(self.pillow[i], targets[i])),
        }

    def d2l(self, *steps: nn.Module) -> dict[str, Batch]:
        """Run transforms v1 on Pillow's pictures."""
        transform = v1.Compose([*steps, v1.ToTensor()])
        return {"d2l": Batch(lambda i: transform(self.pillow[i]))}

    def albumentations(self, *steps: alb.BasicTransform) -> dict[str, Batch]:
        """Run albumentations."""
        form = alb.BboxParams(format="pascal_voc", label_fields=["labels"], min_visibility=0.25)
        transform = alb.Compose([*steps, ToTensorV2()], bbox_params=form)
        targets = [{name: value.numpy() for name, value in t.items()} for t in self.targets]
        if "masks" in targets[0]:
            targets = [{**t, "masks": t["masks"].astype(np.uint8)} for t in targets]
        targets = [{"bboxes": t.pop("boxes"), **t} for t in targets]
        return {
            "albumentations": Batch(lambda i: transform(image=self.arrays[i], **targets[i]), transform.set_random_seed)
        }


def _cut(i: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Cut a piece of `size` out of a photograph, enlarged where it is too small."""
    photo = photos.load(COLOURFUL[i % len(COLOURFUL)], torch.uint8)
    factor = max(1.0, *(n / o for n, o in zip(size, photo.shape[1:], strict=True)))
    photo = preprocess.resize(photo, tuple(math.ceil(factor * side) for side in photo.shape[1:]))
    room = (o - n for n, o in zip(size, photo.shape[1:], strict=True))
    y, x = (int(torch.randint(r + 1, (), generator=generator)) for r in room)
    return photo[:, y : y + size[0], x : x + size[1]].contiguous()


def _array(image: Tensor) -> np.ndarray:
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())  # (H, W, C)


def _ellipses() -> Tensor:
    """Fill the ellipses that touch `MASK_BOXES`, (3, H, W) bool."""
    y, x = torch.meshgrid(*(torch.arange(side) + 0.5 for side in OLD), indexing="ij")
    x1, y1, x2, y2 = torch.tensor(MASK_BOXES).t()[..., None, None]  # (3, 1, 1) each
    return ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 <= 1


def _wrapped(target: dict[str, Tensor]) -> dict[str, Tensor]:
    found = {**target, "boxes": tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=OLD)}
    return found | ({"masks": tv_tensors.Mask(target["masks"])} if "masks" in target else {})


def rows() -> Iterator[Row]:
    """Yield all rows."""
    cv2.setNumThreads(0)
    pictures = Pictures()
    yield _detection(pictures)
    yield _without_hue(pictures)
    yield _with_masks()
    yield _flips(pictures)
    yield _chain(pictures)
    yield _colours(pictures)
    yield from _resize()
    yield _letterbox()
    yield _statistics(pictures)


def NOTES() -> str:  # noqa: N802
    """Describe the rows, with what was measured meanwhile."""
    rates = ", ".join(f"{name} {COUNT / batch.best:,.0f}" for name, batch in recipe.items())
    gaps = ", ".join("{1:.1f} on average (99th percentile {2}) for {0} turns".format(*_hue_gap(t)) for t in TURNS)
    text = TEXT.format(count=COUNT, rates=rates, gaps=gaps, photos=len(COLOURFUL))
    return "\n\n".join(textwrap.fill(paragraph, 120) for paragraph in text.strip().split("\n\n"))


def _hue_gap(turns: float) -> tuple[float, float, int]:
    """Measure how far our hue is from HSV's: the turns, the mean and the 99th percentile, in grey levels."""
    counts = torch.zeros(256, dtype=torch.int64)
    for name in COLOURFUL:
        image = photos.load(name, torch.uint8)
        ours, theirs = colour.apply(image, colour.hue(turns)), functional.adjust_hue(image, turns)
        counts += (ours.int() - theirs.int()).abs().flatten().bincount(minlength=256)
    share = counts.double() / counts.sum()
    return turns, float(share @ torch.arange(256.0).double()), int((share.cumsum(0) < 0.99).sum())


def _peers(pictures: Pictures, amounts: tuple[float, ...]) -> dict[str, Batch]:
    """Crop, flip and jitter."""
    return {
        **pictures.torchvision(
            v2.RandomResizedCrop(NEW, CROP),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(*amounts)], P),
        ),
        **pictures.d2l(
            v1.RandomResizedCrop(NEW, CROP),
            v1.RandomHorizontalFlip(),
            v1.RandomApply([v1.ColorJitter(*amounts)], P),
        ),
        **pictures.albumentations(
            alb.RandomResizedCrop(NEW, scale=CROP), alb.HorizontalFlip(p=0.5), _alb_jitter(amounts, P)
        ),
    }


def _alb_jitter(amounts: tuple[float, ...], p: float) -> alb.BasicTransform:
    around = [(1 - a, 1 + a) for a in amounts[:3]]
    return alb.ColorJitter(*around, (-amounts[3], amounts[3]), p=p)


def _close(ours: Tensor, theirs: Tensor, levels: int = 1) -> None:
    """Fail unless no pixel is further off than `levels` of 256."""
    assert ours.shape == theirs.shape
    assert (ours.int() - theirs.int()).abs().max() <= levels


def _check_crop(pictures: Pictures) -> None:
    """Compare one crop, flipped, of picture and boxes."""
    image, boxes = pictures.tensors[0], pictures.targets[0]["boxes"]
    x1, y1, x2, y2 = box = (30, 50, 290, 250)
    warp = Warp(affine.horizontal_flip(NEW[1]) @ affine.crop_to(box, NEW), OLD, NEW)
    cut = y1, x1, y2 - y1, x2 - x1
    theirs = functional.horizontal_flip(functional.resized_crop(image, *cut, NEW))
    _close(warp.image(image), theirs)
    small = pictures.pillow[0].crop(box).resize(NEW[::-1], Image.Resampling.BILINEAR)
    _close(warp.image(image), functional.pil_to_tensor(ImageOps.mirror(small)))
    wrapped = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=OLD)
    moved = functional.horizontal_flip(functional.resized_crop(wrapped, *cut, NEW, antialias=None))
    clipped = clip_boxes_to_image(warp.boxes(boxes), NEW)  # torchvision clips at each step
    torch.testing.assert_close(clipped, moved.as_subclass(Tensor), rtol=0, atol=1e-3)


def _check_colours(pictures: Pictures) -> None:
    """Compare brightness, contrast, saturation, and a third of a turn of hue, on colours that no step cuts off."""
    image = (pictures.tensors[0].double() / 2 + 64).round().byte()
    made = colour.apply(image, colour.jitter(image.flatten(1).double().mean(1) / 255, 1.1, 0.9, 1.2))
    floats = functional.adjust_brightness(image.double() / 255, 1.1)
    floats = functional.adjust_saturation(functional.adjust_contrast(floats, 0.9), 1.2)
    _close(made, (255 * floats).round())
    _close(colour.apply(image, colour.hue(1 / 3)), functional.adjust_hue(image, 1 / 3))


def _detection(pictures: Pictures) -> Row:
    recipe.update({"cvlab": pictures.ours(for_detection(NEW)), **_peers(pictures, JITTER)})
    peers = {name: batch for name, batch in recipe.items() if name != "cvlab"}
    return Row(
        "`for_detection` 320 x 320 to 256 x 256, 5 boxes: crop, flip, colours",
        recipe["cvlab"],
        peers,
        lambda: _check_crop(pictures),
        seconds=12,
    )


def _without_hue(pictures: Pictures) -> Row:
    moves = Geometric([ResizedCrop(NEW, CROP), Flip(0.5)], keep_one=True)
    ours = v2.Compose([moves, ColourJitter(*JITTER[:3], 0.0, p=P)])
    peers = _peers(pictures, (*JITTER[:3], 0.0))
    return Row("the same without hue", pictures.ours(ours), peers, lambda: _check_colours(pictures), seconds=8)


def _with_masks() -> Row:
    pictures = Pictures(masks=True)
    peers = _peers(pictures, JITTER)
    del peers["d2l"]  # it moves no masks
    return Row(
        "`for_detection` with 3 masks",
        pictures.ours(for_detection(NEW)),
        peers,
        lambda: _check_masks(pictures),
        seconds=10,
    )


def _check_masks(pictures: Pictures) -> None:
    """Compare one crop of the masks, but for pixels whose centre falls on an edge between two."""
    masks, box = pictures.targets[0]["masks"], (30, 50, 290, 250)
    ours = Warp(affine.crop_to(box, NEW), OLD, NEW).masks(masks)
    x1, y1, x2, y2 = box
    nearest = v2.InterpolationMode.NEAREST_EXACT
    theirs = functional.resized_crop(masks.byte(), y1, x1, y2 - y1, x2 - x1, NEW, nearest).bool()
    assert (ours != theirs).float().mean() < 1e-3


def _flips(pictures: Pictures) -> Row:
    def check() -> None:
        made, target = Geometric([Flip(1.0)])(pictures.tensors[0], pictures.targets[0])
        assert torch.equal(made, functional.horizontal_flip(pictures.tensors[0]))
        wrapped = functional.horizontal_flip(_wrapped(pictures.targets[0])["boxes"])
        torch.testing.assert_close(target["boxes"].as_subclass(Tensor), wrapped.as_subclass(Tensor))

    peers = {
        **pictures.torchvision(v2.RandomHorizontalFlip(1.0)),
        **pictures.d2l(v1.RandomHorizontalFlip(1.0)),
        **pictures.albumentations(alb.HorizontalFlip(p=1.0)),
    }
    return Row("`Flip` alone, 320 x 320, 5 boxes", pictures.ours(Geometric([Flip(1.0)])), peers, check)


def _chain(pictures: Pictures) -> Row:
    shift, grow, turn, tilt = 0.1, 1.2, 15.0, 0.3
    steps = [ShiftScaleRotate(shift, grow - 1, turn), Perspective(tilt, 1.0), ResizedCrop(NEW, CROP)]

    def check() -> None:
        warp = Warp(affine.about(affine.rotation(turn), (OLD[1] / 2, OLD[0] / 2)), OLD, OLD)
        image = pictures.tensors[0]
        theirs = functional.rotate(image.float(), -turn, BILINEAR).round()
        inside = ((warp.sources() - 160).abs() < 158).all(-1)  # at the edge, the two blend with the outside otherwise
        _close(warp.image(image)[:, inside], theirs[:, inside])

    peers = {
        **pictures.torchvision(
            v2.RandomAffine(turn, (shift, shift), (1 / grow, grow), interpolation=BILINEAR),
            v2.RandomPerspective(tilt, 1.0),
            v2.RandomResizedCrop(NEW, CROP),
        ),
        **pictures.albumentations(
            alb.Affine(scale=(1 / grow, grow), translate_percent=(-shift, shift), rotate=(-turn, turn), p=1.0),
            alb.Perspective(scale=(tilt / 4, tilt / 4), p=1.0),
            alb.RandomResizedCrop(NEW, scale=CROP),
        ),
    }
    name = "turn, scale, shift, perspective and crop, 5 boxes: one warp, three by the others"
    return Row(name, pictures.ours(Geometric(steps)), peers, check, seconds=10)


def _colours(pictures: Pictures) -> Row:
    peers = {
        **pictures.torchvision(v2.ColorJitter(*JITTER)),
        **pictures.d2l(v1.ColorJitter(*JITTER)),
        **pictures.albumentations(_alb_jitter(JITTER, 1.0)),
    }
    ours = pictures.ours(ColourJitter(*JITTER))
    return Row("`ColourJitter` with hue, 320 x 320", ours, peers, lambda: _check_colours(pictures), seconds=8)


def _resize() -> Iterator[Row]:
    generator = torch.Generator().manual_seed(0)
    images = [_cut(i, WIDE, generator)[None] for i in range(COUNT)]
    pillow = [Image.fromarray(_array(image[0])) for image in images]

    def torchs(image: Tensor) -> Tensor:
        return interpolate(image, NEW, mode="bilinear", antialias=True)

    def pillows(image: Image.Image) -> Tensor:
        return functional.pil_to_tensor(image.resize(NEW[::-1], Image.Resampling.BILINEAR))

    def check() -> None:
        _close(preprocess.resize(images[0], NEW), torchs(images[0]))
        _close(preprocess.resize(images[0], NEW)[0], pillows(pillow[0]))
        floats = images[0] / 255
        torch.testing.assert_close(preprocess.resize(floats, NEW), torchs(floats), rtol=0, atol=1e-5)

    for kind, given in (("uint8", images), ("float", [image / 255 for image in images])):
        peers = {"torch": Batch(lambda i, given=given: torchs(given[i]))}
        if kind == "uint8":
            peers["PIL"] = Batch(lambda i: pillows(pillow[i]))
        ours = Batch(lambda i, given=given: preprocess.resize(given[i], NEW))
        yield Row(f"`resize` 480 x 640 to 256 x 256, {kind}", ours, peers, check, seconds=5)


def _letterbox() -> Row:
    generator = torch.Generator().manual_seed(0)
    images = [_cut(i, WIDE, generator) for i in range(COUNT)]
    pillow, arrays = [Image.fromarray(_array(image)) for image in images], [_array(image) for image in images]

    def ours(i: int) -> Tensor:
        return preprocess.letterbox(WIDE, NEW).image(images[i])

    def torchvisions(i: int) -> Tensor:
        return functional.pad(functional.resize(images[i], [192, 256]), [0, 32], fill=114)

    def pillows(i: int) -> Tensor:
        return functional.pil_to_tensor(ImageOps.pad(pillow[i], NEW, Image.Resampling.BILINEAR, (114, 114, 114)))

    def check() -> None:
        _close(ours(0), torchvisions(0))
        _close(ours(0), pillows(0))

    other = alb.Compose([alb.LongestMaxSize(NEW[0]), alb.PadIfNeeded(*NEW, fill=114), ToTensorV2()])
    peers = {
        "torchvision": Batch(torchvisions),
        "PIL": Batch(pillows),
        "albumentations": Batch(lambda i: other(image=arrays[i])),
    }
    return Row("`letterbox` 480 x 640 into 256 x 256", Batch(ours), peers, check, seconds=5)


def _statistics(pictures: Pictures) -> Row:
    def ours() -> tuple[Tensor, Tensor]:
        stats = preprocess.ChannelStats()
        for image in pictures.tensors:
            stats.update(image)
        return stats.mean, stats.std

    def torchs() -> tuple[Tensor, Tensor]:
        mean = torch.stack([image.double().mean((1, 2)) for image in pictures.tensors]).mean(0)
        squares = [(image.double() - mean[:, None, None]).square().mean((1, 2)) for image in pictures.tensors]
        return mean / 255, torch.stack(squares).mean(0).sqrt() / 255

    def check() -> None:
        torch.testing.assert_close(ours(), torchs(), rtol=0, atol=1e-12)

    return Row("`ChannelStats`, torch in two passes", ours, {"torch": torchs}, check, seconds=4)
