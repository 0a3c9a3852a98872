"""Average precision against published values: 24 detections of 15 objects in 7 images, one class.

The published evaluation measures boxes in whole pixels, so it adds 1 to their sides. Its eleven recalls are multiples
of 0.1 in binary, of which the seventh is a little more than 0.6.
"""

import json
from pathlib import Path

import pytest
import torch

from cvlab.metrics import average_precision, precision_recall, voc_ap

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "oracles"
FILE, BOXES = FOLDER / "literals.json", FOLDER.parent / "data" / "voc_ap_case"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the published values are not beside this repository")

# Which of the 24, from the best score down and counted from 1, are correct at a threshold of IoU.
CORRECT = {"0.1": [1, 3, 7, 9, 10, 12, 14, 16, 23], "0.3": [1, 3, 10, 12, 13, 14, 23], "0.5": [3], "0.75": []}
OBJECTS = 15


@pytest.fixture(scope="module")
def published():
    return json.loads(FILE.read_text())["voc_ap"]


def expected(published, method, threshold):
    """Give the published value, corrected where 9 of 15 objects are found, which is a recall of exactly 0.6."""
    value = published["every_point" if method == "every_point" else "eleven_point"][threshold]
    if (method, threshold) == ("voc07", "0.1"):
        value += 9 / 23 / 11  # the ninth is the 23rd detection
    return pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("method", ["voc07", "every_point"])
@pytest.mark.parametrize("threshold", CORRECT)
def test_from_hits(published, method, threshold):
    hits = [place in CORRECT[threshold] for place in range(1, 25)]
    curve = precision_recall(range(24, 0, -1), hits, OBJECTS)
    assert average_precision(curve.recall, curve.precision, method) == expected(published, method, threshold)


@pytest.mark.skipif(not BOXES.is_dir(), reason="the published boxes are not beside this repository")
@pytest.mark.parametrize("method", ["voc07", "every_point"])
@pytest.mark.parametrize("threshold", CORRECT)
def test_from_boxes(published, method, threshold):
    def read(folder, name):  # lines of a word, a score where there is one, and x y w h
        path = BOXES / folder / name
        lines = path.read_text().split("\n") if path.exists() else []
        return torch.tensor([[float(word) for word in line.split()[1:]] for line in lines if line], dtype=torch.float64)

    def entry(rows):
        xywh = rows.reshape(len(rows), -1)[:, -4:].reshape(-1, 4)
        boxes = torch.cat((xywh[:, :2], xywh[:, :2] + xywh[:, 2:] + 1), dim=1)
        return {"boxes": boxes, "labels": torch.ones(len(rows), dtype=torch.int64)}

    names = sorted(file.name for file in (BOXES / "dets").glob("*.txt"))
    detections = [read("dets", name) for name in names]
    predictions = [entry(rows) | {"scores": rows[:, 0]} for rows in detections]
    targets = [entry(read("gts", name)) for name in names]
    assert sum(len(target["boxes"]) for target in targets) == OBJECTS
    assert sum(len(rows) for rows in detections) == 24
    result = voc_ap(predictions, targets, iou_threshold=float(threshold), method=method)
    assert result.mean == expected(published, method, threshold)
