"""The measures of segmentation against scikit-learn and torchmetrics."""

from collections.abc import Iterator

import numpy as np
import torch
from scipy import ndimage
from sklearn import metrics as sk
from torch import Tensor
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.functional.classification import multiclass_confusion_matrix
from torchmetrics.segmentation import MeanIoU

from benchmarks.timing import Row, compare
from cvlab.data.label_maps import IGNORED
from cvlab.metrics import (
    InstanceMetrics,
    SegmentationMetrics,
    boundary_f,
    boundary_f_reference,
    instance_iou,
    match_instances,
    pixel_confusion,
)

SHAPE, CLASSES = (16, 512, 512), 21
PEERS = ("scikit-learn", "torchmetrics", "numpy", "distances")


def areas(shape: tuple[int, ...], classes: int, seed: int, ignored: bool = True) -> tuple[Tensor, Tensor]:
    """Make truth of smooth areas with an ignored pixel in twenty, and a prediction whose areas are a little larger."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (shape[0], shape[1] // 32, shape[2] // 32))
    truth = np.kron(coarse, np.ones((1, 32, 32), np.int64))
    said = np.where(rng.random(shape) < 0.05, rng.integers(0, classes, shape), np.roll(truth, (2, 3), (1, 2)))
    if ignored:
        truth[rng.random(shape) < 0.05] = IGNORED
    return torch.from_numpy(said), torch.from_numpy(truth)


def discs(side: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Make an instance map of discs, and one of the same moved a little."""
    rng = np.random.default_rng(seed)
    places = np.zeros((side, side), np.int64)
    places[rng.integers(0, side, count), rng.integers(0, side, count)] = np.arange(1, count + 1)
    distance, nearest = ndimage.distance_transform_edt(places == 0, return_indices=True)
    truth = np.where(distance < 0.4 * side / np.sqrt(count), places[tuple(nearest)], 0)
    return torch.from_numpy(np.roll(truth, (2, 1), (0, 1))), torch.from_numpy(truth)


def their_iou(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Compute the IoU of instances from scikit-learn's table, with the background in the first row and column."""
    size = max(said.max(), truth.max()) + 1
    shared = sk.confusion_matrix(truth.ravel(), said.ravel(), labels=np.arange(size))
    together = shared.sum(0) + shared.sum(1)[:, None] - shared
    return (shared / np.maximum(together, 1))[1:, 1:]


def by_numpy(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Count pairs in the way that most repositories have copied from FCN's."""
    counted = (truth >= 0) & (truth < CLASSES)
    pairs = CLASSES * truth[counted].astype(int) + said[counted]
    return np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def compared() -> Iterator[Row]:
    """Yield the rows of the table."""
    said, truth = areas(SHAPE, CLASSES, 0)
    narrow = said.to(torch.uint8), truth.to(torch.uint8)
    options = {"num_classes": CLASSES, "ignore_index": IGNORED}

    def by_sklearn() -> np.ndarray:
        counted = truth.flatten() != IGNORED
        return sk.confusion_matrix(truth.flatten()[counted], said.flatten()[counted], labels=range(CLASSES))

    def check() -> None:
        expected = torch.from_numpy(by_sklearn())
        for maps in ((said, truth), narrow):
            assert torch.equal(pixel_confusion(*maps, CLASSES), expected)
        assert torch.equal(multiclass_confusion_matrix(said, truth, **options), expected)
        np.testing.assert_array_equal(by_numpy(said.numpy(), truth.numpy()), expected)

    for name, maps in (("int64", (said, truth)), ("uint8", narrow)):
        peers = {
            "torchmetrics": lambda maps=maps: multiclass_confusion_matrix(*maps, **options),
            "numpy": lambda maps=maps: by_numpy(*(one.numpy() for one in maps)),
        }
        if name == "int64":
            peers["scikit-learn"] = by_sklearn
        yield Row(
            f"`pixel_confusion`, labels {name}", lambda maps=maps: pixel_confusion(*maps, CLASSES), peers, check, 5
        )

    metrics, jaccard = SegmentationMetrics(CLASSES), MulticlassJaccardIndex(CLASSES, ignore_index=IGNORED)
    logits = torch.nn.functional.one_hot(said[:4], CLASSES).movedim(-1, 1).float().contiguous()

    def ours(predictions: Tensor, targets: Tensor) -> float:
        metrics.reset()
        metrics.update(predictions, targets)
        return metrics.compute()["mIoU"]

    def theirs(predictions: Tensor, targets: Tensor) -> float:
        jaccard.reset()
        jaccard.update(predictions, targets)
        return float(jaccard.compute())

    def close(one: tuple[Tensor, Tensor]) -> None:
        assert abs(ours(*one) - theirs(*one)) < 1e-5

    for name, one in (("labels int64", (said, truth)), ("logits of 4 of them", (logits, truth[:4]))):
        yield Row(
            f"`SegmentationMetrics`, update and compute, {name}",
            lambda one=one: (ours(*one), None)[1],
            {"torchmetrics": lambda one=one: (theirs(*one), None)[1]},
            lambda one=one: close(one),
            5,
        )
    full = areas(SHAPE, CLASSES, 1, ignored=False)
    mean_iou = MeanIoU(CLASSES, input_format="index")

    def their_mean() -> None:
        mean_iou.reset()
        mean_iou.update(*full)
        mean_iou.compute()

    yield Row(
        "the same against torchmetrics' `MeanIoU`, which averages over pictures",
        lambda: (ours(*full), None)[1],
        {"torchmetrics": their_mean},
        seconds=5,
    )
    one = said[0], truth[0]

    def same() -> None:
        assert boundary_f(*one, CLASSES).mean == boundary_f_reference(*one, CLASSES).mean

    yield Row(
        "`boundary_f`, 1 x 512 x 512",
        lambda: boundary_f(*one, CLASSES),
        {"distances": lambda: boundary_f_reference(*one, CLASSES)},
        same,
        5,
    )
    yield from _instances()


def _instances() -> Iterator[Row]:
    for side, count in ((256, 40), (1024, 1000)):
        maps = discs(side, count, 0)
        arrays = [one.numpy() for one in maps]
        metrics = InstanceMetrics()

        def check(maps: tuple[Tensor, Tensor] = maps, arrays: list[np.ndarray] = arrays) -> None:
            iou = their_iou(*arrays)
            table = instance_iou(*maps)
            np.testing.assert_allclose(table.iou.t(), iou[table.truth - 1][:, table.predicted - 1], rtol=1e-12)
            assert match_instances(*maps).tp == (iou > 0.5).sum()

        yield Row(
            f"`instance_iou`, {side} x {side}, {count} objects",
            lambda maps=maps: instance_iou(*maps),
            {"scikit-learn": lambda arrays=arrays: their_iou(*arrays)},
            check,
        )
        yield Row(
            f"`InstanceMetrics.update`, {side} x {side}, {count} objects",
            lambda maps=maps, metrics=metrics: metrics.update([maps[0]], [maps[1]]),
            {},
        )


def rows() -> Iterator[Row]:
    """Give nothing to time in turn: see `NOTES`."""
    return iter(())


def NOTES() -> str:  # noqa: N802
    """Time all, in a table of its own: the peers are others than those of the other areas."""
    shape = " x ".join(map(str, SHAPE))
    lines = [
        f"Labels {shape}, {CLASSES} classes, a pixel in twenty ignored; torchmetrics is called with its checks.",
        '"numpy" is the function that most repositories have copied from FCN: it drops labels out of range, silently.',
        '"distances" is `boundary_f_reference`: a distance transform by scipy for each class. scikit-learn gives the',
        "pixels of each pair of instances; the IoUs are computed from them.\n",
        f"| | cvlab | {' | '.join(PEERS)} |\n|---|---:|{'---:|' * len(PEERS)}",
    ]
    for row in compared():
        seconds, ratios = compare(row)
        cells = [f"{ratios[p]:.1f}" if p in ratios and ratios[p] < 20 else f"{ratios[p]:.0f}" if p in ratios else ""
                 for p in PEERS]  # fmt: skip
        lines.append(f"| {row.name} | {seconds * 1e3:.3g} ms | {' | '.join(cells)} |")
    return "\n".join(lines)
