"""Values that others have published: torchvision's and detectron2's tests, and d2l's printed outputs."""

import json
from pathlib import Path

import pytest
import torch

from cvlab import ops

FILE = Path(__file__).resolve().parents[2] / ".." / "shared" / "oracles" / "literals.json"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the published values are not beside this repository")


@pytest.fixture(scope="module")
def literals():
    return json.loads(FILE.read_text())


def test_torchvisions_boxes(literals):
    values = literals["torchvision_test_ops"]
    tolerance = {"atol": values["atol"], "rtol": 0}
    floats = torch.tensor(values["FLOAT_BOXES"], dtype=torch.float64)
    torch.testing.assert_close(
        ops.box_area(floats), torch.tensor(values["float_area"], dtype=torch.float64), **tolerance
    )
    expected = torch.tensor(values["iou_float"], dtype=torch.float64)
    torch.testing.assert_close(ops.box_iou(floats, floats), expected, **tolerance)
    whole, others = torch.tensor(values["INT_BOXES"]), torch.tensor(values["INT_BOXES2"])
    torch.testing.assert_close(ops.box_iou(whole, others), torch.tensor(values["iou_int"]), **tolerance)


def test_detectron2s_anchors(literals):
    values = literals["detectron2"]["anchors"]
    generator = ops.AnchorGenerator(
        [values["sizes"]],
        [1 / r for r in values["aspect_ratios_h_over_w"]],
        pairing="all",
        unit="pixel",
        offset=0.0,
        strides=[values["stride"]],
    )
    anchors = generator([tuple(values["grid_hw"])], (100, 100))[0]
    assert anchors.tolist() == values["offset0"]


def test_d2ls_anchors(literals):
    values = literals["d2l_printed"]["multibox_prior"]
    height, width = values["hw"]
    # d2l measures against the height: its scale s is s * sqrt(H / W) here; its coordinates are shares of the image.
    scales = [s * (height / width) ** 0.5 for s in values["sizes"]]
    anchors = ops.grid_anchors((height, width), (height, width), scales, values["ratios"], pairing="first")
    assert len(anchors) == values["n"]
    anchors = anchors.reshape(height, width, 5, 4) / torch.tensor([width, height, width, height])
    torch.testing.assert_close(anchors[250, 250, 0], torch.tensor(values["boxes_250_250_0"]), atol=0.005, rtol=0)


def test_d2ls_targets(literals):
    values = literals["d2l_printed"]["multibox_target"]
    truth, anchors = torch.tensor(values["gt"]), torch.tensor(values["anchors"])
    targets = ops.detection_targets(anchors, truth[None, :, 1:], truth[None, :, 0].long() + 1)
    assert targets.labels[0].tolist() == values["class"]
    assert targets.mask[0].repeat_interleave(4).int().tolist() == values["mask"]
    printed = torch.tensor(values["offset_printed"])
    torch.testing.assert_close(targets.offsets.flatten(), printed, atol=5e-3, rtol=5e-3)


def test_d2ls_detections(literals):
    values = literals["d2l_printed"]["multibox_detection"]
    anchors, probabilities = torch.tensor(values["anchors"]), torch.tensor(values["cls_probs"])
    confidence, classes = probabilities[1:].max(0)
    boxes = ops.decode_boxes(torch.zeros(4, 4), anchors)
    kept = ops.batched_nms(boxes, confidence, classes, values["nms"])
    printed = torch.tensor([row for row in values["out"] if row[0] >= 0])
    found = torch.cat((classes[kept, None], confidence[kept, None], boxes[kept]), 1)
    torch.testing.assert_close(found, printed)
