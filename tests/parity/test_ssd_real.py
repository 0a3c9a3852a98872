"""SSD on COCO's photographs, from files to metrics: the pipeline runs, whatever a few steps may teach."""

from pathlib import Path

import pytest
import torch

from cvlab import engine
from cvlab.data import read_image
from cvlab.metrics import DetectionMetrics
from cvlab.models import load_backbone, ssd_small
from cvlab.ops import box_convert

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "coco128"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the photographs of COCO are not beside this repository")
COUNT = 128


def read(file):
    """Read a photograph, and its lines of a class and centre, width and height as shares of the picture's sides."""
    image = read_image(file, torch.uint8)
    height, width = image.shape[1:]
    labels = FOLDER / "boxes" / f"{file.stem}.txt"
    lines = labels.read_text().splitlines() if labels.is_file() else []
    rows = torch.tensor([[float(word) for word in line.split()] for line in lines]).reshape(-1, 5)
    boxes = box_convert(rows[:, 1:], "cxcywh", "xyxy") * torch.tensor([width, height, width, height])
    return image, {"boxes": boxes, "labels": rows[:, 0].long() + 1}


@pytest.fixture(scope="module")
def photographs():
    return [read(file) for file in sorted((FOLDER / "images").glob("*.jpg"))]


def test_trains_predicts_and_is_measured(photographs):
    assert len(photographs) == COUNT
    assert any(len(target["boxes"]) == 0 for _, target in photographs)  # there are photographs without objects
    torch.manual_seed(0)
    model = ssd_small(81, score_thresh=0.01)
    load_backbone(model, "ssd_small")
    history = engine.fit(model, photographs, steps=12, batch_size=16, warmup=2, progress=False)
    losses = history.frame["loss"]
    assert losses.iloc[-3:].mean() < losses.iloc[:3].mean()
    predictions, targets = engine.predict(model, photographs, batch_size=16)
    metric = DetectionMetrics([str(i) for i in range(80)])
    metric.update(predictions, targets)
    assert 0 <= metric.compute()["AP"] <= 1
    for prediction, (image, _) in zip(predictions, photographs, strict=True):
        height, width = image.shape[1:]
        assert (prediction["boxes"] >= 0).all()
        assert (prediction["boxes"] <= torch.tensor([width, height, width, height]) + 1e-3).all()
