"""Exported detectors find what the eager ones find."""

import importlib.util

import numpy as np
import pytest
import torch
from ssd_samples import by_hand, spread

from cvlab._check import InputError
from cvlab.models import SSD, SmallBackbone
from cvlab.models.export import AllAnchors, BestDetections, export_onnx, export_program
from cvlab.ops import AnchorGenerator

runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    anchors = AnchorGenerator([(0.2, 0.3), (0.5,)], [1.0, 2.0])
    made = SSD(SmallBackbone((4, 8, 8), (1, 1), maps=2), 5, anchors, size=(32, 48), score_thresh=0.1)
    return spread(made).eval()


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.as_tensor(np.asarray(one)), other, atol=1e-4, rtol=1e-4)


def test_all_anchors_by_hand():
    model = by_hand(3)
    model.head.offsets[0].bias.data[0] = 10 * 1.0  # the small anchor one width, 4 pixels, to the right
    scores, boxes = AllAnchors(model)(torch.zeros(2, 3, 16, 16))
    torch.testing.assert_close(scores, torch.full((2, 9, 2), 1 / 3))
    assert boxes.shape == (2, 9, 4)
    # of cell (0, 0): (2, 2, 6, 6) moved; of cell (0, 1): (10, 2, 14, 6) moved to 18 and clipped to 16
    assert boxes[1, [0, 2]].tolist() == [[6, 2, 10, 6], [14, 2, 16, 6]]


def test_best_detections_are_those_of_the_model(model, images):
    with torch.no_grad():
        for image in images:
            (expected,) = model([image])
            assert len(expected["boxes"]) > 10
            boxes, scores, labels = BestDetections(model)(image[None])
            torch.testing.assert_close(boxes, expected["boxes"])
            assert torch.equal(scores, expected["scores"])
            assert torch.equal(labels, expected["labels"])


@pytest.mark.parametrize("strict", [False, True])
def test_program_without_suppression(model, images, strict):
    module = AllAnchors(model).eval()
    if strict:
        shapes = {"images": {0: torch.export.Dim("batch")}}
        program = torch.export.export(module, (images,), dynamic_shapes=shapes, strict=True)
    else:
        program = export_program(model, nms=False)
    with torch.no_grad():
        for some in (images[:1], images):
            torch.testing.assert_close(program.module()(some), module(some))


@pytest.mark.parametrize("strict", [False, True])
def test_program_with_suppression(model, images, strict):
    module = BestDetections(model).eval()
    program = torch.export.export(module, (images[:1],), strict=True) if strict else export_program(model, nms=True)
    with torch.no_grad():
        for image in images:
            found, expected = program.module()(image[None]), module(image[None])
            assert torch.equal(found[2], expected[2])
            torch.testing.assert_close(found, expected)


def test_onnx_without_suppression(model, images, tmp_path):
    path = export_onnx(model, tmp_path / "all.onnx", nms=False)
    assert [p.name for p in tmp_path.iterdir()] == ["all.onnx"]  # the weights are inside
    session = runtime.InferenceSession(str(path))
    assert [o.name for o in session.get_outputs()] == ["scores", "boxes"]
    with torch.no_grad():
        for some in (images[:1], images):
            close(session.run(None, {"images": some.numpy()}), AllAnchors(model)(some))


def test_onnx_with_suppression(model, images, tmp_path):
    path = export_onnx(model, str(tmp_path / "best.onnx"), nms=True)
    session = runtime.InferenceSession(str(path))
    assert [o.name for o in session.get_outputs()] == ["boxes", "scores", "labels"]
    with torch.no_grad():
        for image in images:
            expected = BestDetections(model)(image[None])
            found = session.run(None, {"images": image[None].numpy()})
            assert found[2].tolist() == expected[2].tolist()
            close(found, expected)


def test_onnx_finds_nothing_where_there_is_nothing(tmp_path):
    model = by_hand(3, score_thresh=0.5)  # a third for each class
    session = runtime.InferenceSession(str(export_onnx(model, tmp_path / "none.onnx", nms=True)))
    boxes, scores, labels = session.run(None, {"images": np.zeros((1, 3, 16, 16), np.float32)})
    assert (boxes.shape, scores.shape, labels.shape) == ((0, 4), (0,), (0,))


@pytest.mark.parametrize("nms", [True, False])
def test_a_model_in_training_is_refused(nms, tmp_path):
    model = by_hand().train()
    with pytest.raises(InputError, match=r"export_program: the model is in training mode, call model.eval\(\) first"):
        export_program(model, nms=nms)
    with pytest.raises(InputError, match=r"export_onnx: the model is in training mode, call model.eval\(\) first"):
        export_onnx(model, tmp_path / "x.onnx", nms=nms)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_without_the_packages(package, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(ImportError) as caught:
        export_onnx(by_hand(), tmp_path / "x.onnx", nms=False)
    assert str(caught.value) == f"export_onnx: needs the packages onnx and onnxscript, but there is no {package}"
