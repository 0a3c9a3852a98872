"""Networks as ONNX files of whole numbers: as right as in float, for any number of images, with several outputs."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from cvlab.data import digits
from cvlab.models import SSD, SmallBackbone, digit_net
from cvlab.ops import AnchorGenerator
from cvlab.quant import softmax_cost
from cvlab.quant.targets import onnx_qdq
from cvlab.quant.targets.onnx_qdq import export_onnx_float, export_onnx_int8, onnx_session, quantize_onnx, run_onnx

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def tiny() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def sample():
    images, labels = digits(500, "test")
    return images.float() / 255, labels.numpy()


@pytest.fixture(scope="module")
def calibration():
    return digits(200, "train")[0].float() / 255


@pytest.fixture(scope="module")
def files(tmp_path_factory, calibration):
    folder, model = tmp_path_factory.mktemp("onnx"), digit_net("digit_net")
    export_onnx_float(model, folder / "float.onnx", calibration)
    export_onnx_int8(model, folder / "int8.onnx", calibration)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small network in float."""
    return export_onnx_float(tiny(), tmp_path_factory.mktemp("tiny") / "float.onnx", rand(1, 3, 8, 8))


def weights_of(path):
    """Give the whole numbers of all weights, without the biases."""
    arrays = [onnx.numpy_helper.to_array(value) for value in onnx.load(path).graph.initializer]
    return [array for array in arrays if array.dtype == np.int8 and array.ndim > 1]


def test_float_file_says_what_the_network_says(files, sample):
    images = sample[0][:50]
    [found] = run_onnx(files / "float.onnx", images)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), digit_net("digit_net")(images), atol=1e-4, rtol=1e-4)


def test_int8_is_as_right_as_float(files, sample):
    images, labels = sample
    found, expected = (run_onnx(files / name, images)[0].argmax(1) for name in ("int8.onnx", "float.onnx"))
    assert (expected == labels).mean() > 0.9
    assert abs((found == labels).mean() - (expected == labels).mean()) <= 0.015
    assert (found == expected).mean() >= 0.97


def test_int8_file_is_valid_smaller_and_holds_whole_numbers(files):
    onnx.checker.check_model(onnx.load(files / "int8.onnx"), full_check=True)
    assert (files / "int8.onnx").stat().st_size < 0.45 * (files / "float.onnx").stat().st_size
    assert len(weights_of(files / "int8.onnx")) == 16  # of 15 convolutions and the last layer
    kinds = [node.op_type for node in onnx.load(files / "int8.onnx").graph.node]
    assert kinds.count("Conv") == 15
    assert kinds.count("QuantizeLinear") >= 16


def test_images_may_be_any_number(files, sample):
    [all_of_them] = run_onnx(files / "int8.onnx", sample[0][:7])
    [one] = run_onnx(files / "int8.onnx", sample[0][:1])
    assert all_of_them.shape == (7, 10)
    np.testing.assert_allclose(one, all_of_them[:1], atol=1e-5)


@pytest.mark.parametrize(("reduce_range", "largest"), [(True, 64), (False, 127)])
def test_reduced_range_means_weights_of_7_bits(tmp_path, small, reduce_range, largest):
    path = quantize_onnx(small, tmp_path / "a.onnx", rand(4, 3, 8, 8), reduce_range=reduce_range)
    assert max(np.abs(w.astype(int)).max() for w in weights_of(path)) == largest


@pytest.mark.parametrize(("saturating", "largest"), [(True, 64), (None, 64), (False, 127)])
def test_the_cpu_decides_on_the_range(tmp_path, small, monkeypatch, saturating, largest):
    monkeypatch.setattr(onnx_qdq, "saturates", lambda features: saturating)
    path = quantize_onnx(small, tmp_path / "a.onnx", rand(4, 3, 8, 8))
    assert max(np.abs(w.astype(int)).max() for w in weights_of(path)) == largest


@pytest.mark.parametrize(
    "options",
    [{"per_channel": False}, {"activations": "int8"}, {"method": "entropy"}, {"method": "percentile"}],
    ids=str,
)
def test_other_ways_are_close_to_float_too(tmp_path, small, options):
    images = rand(43, 3, 8, 8)  # a prime number, which no batches of one size but 1 share
    [found] = run_onnx(quantize_onnx(small, tmp_path / "a.onnx", images, **options), images)
    [expected] = run_onnx(small, images)
    assert np.abs(found - expected).mean() < 0.05 * expected.std()
    assert np.abs(found - expected).max() > 0


def test_scales_of_channels_or_one_for_all(tmp_path, small):
    for per_channel, count in ((True, 8), (False, 1)):
        path = quantize_onnx(small, tmp_path / "a.onnx", rand(4, 3, 8, 8), per_channel=per_channel)
        graph = onnx.load(path).graph
        values = {value.name: onnx.numpy_helper.to_array(value) for value in graph.initializer}
        scales = [
            values[node.input[1]].size
            for node in graph.node
            if node.op_type == "DequantizeLinear" and values.get(node.input[0], np.zeros(0)).ndim == 4
        ]
        assert max(scales) == count


class Raw(nn.Module):
    """What a detector's heads say."""

    def __init__(self) -> None:
        super().__init__()
        anchors = AnchorGenerator([(0.2, 0.3), (0.5,)], [1.0, 2.0])
        self.model = SSD(SmallBackbone((4, 8, 8), (1, 1), maps=2), 5, anchors, size=(32, 48))

    def forward(self, images):
        return self.model.network(images)


def test_a_detector_has_several_outputs(tmp_path):
    torch.manual_seed(0)
    model, images = Raw().eval(), rand(5, 3, 32, 48)
    path = export_onnx_int8(model, tmp_path / "ssd.onnx", images, outputs=["logits", "offsets"])
    assert [out.name for out in onnx_session(path).get_outputs()] == ["logits", "offsets"]
    with torch.no_grad():
        expected = model(images)
    for found, wanted in zip(run_onnx(path, images), expected, strict=True):
        assert found.shape == wanted.shape
        assert np.abs(found - wanted.numpy()).mean() < 0.1 * float(wanted.std())


def bad_weights():
    model = tiny()
    model[2].weight.data[1, 0, 2, 0] = float("nan")
    return model


def nan_image():
    images = rand(4, 3, 8, 8)
    images[2, 1, 0, 3] = float("nan")
    return images


@pytest.mark.parametrize("export", [export_onnx_int8, lambda m, p, x: export_onnx_float(m, p, x)])
@pytest.mark.parametrize(
    ("model", "images", "message"),
    [
        (lambda: tiny().train(), lambda: rand(4, 3, 8, 8), "the model is in training mode"),
        (bad_weights, lambda: rand(4, 3, 8, 8), r"2\.weight\[1, 0, 2, 0\] is not finite: nan"),
        (tiny, nan_image, r"\[2, 1, 0, 3\] is not finite: nan"),
        (tiny, lambda: rand(0, 3, 8, 8), r"must hold at least one image, got shape \(0, 3, 8, 8\)"),
        (tiny, lambda: rand(3, 8, 8), r"must have shape \(B, 3, H, W\), got \(3, 8, 8\)"),
        (tiny, lambda: rand(4, 1, 8, 8), r"must have shape \(B, 3, H, W\), got \(4, 1, 8, 8\)"),
        (tiny, lambda: (rand(4, 3, 8, 8) * 255).byte(), "must be floating point, got torch.uint8"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, export, model, images, message):
    with pytest.raises(ValueError, match=f"export_onnx_.*{message}"):
        export(model(), tmp_path / "a.onnx", images())
    assert not (tmp_path / "a.onnx").exists()


def test_unknown_choices_and_missing_files_are_refused(tmp_path, small):
    for options, message in (({"activations": "int4"}, "activations must be"), ({"method": "best"}, "method must be")):
        with pytest.raises(ValueError, match=message):
            quantize_onnx(small, tmp_path / "a.onnx", rand(4, 3, 8, 8), **options)
    with pytest.raises(ValueError, match="path must name a file"):
        run_onnx(tmp_path / "none.onnx", rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="quantize_onnx: path must name a file"):
        quantize_onnx(tmp_path / "none.onnx", tmp_path / "a.onnx", rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="quantize_onnx: calibration must hold at least one image"):
        quantize_onnx(small, tmp_path / "a.onnx", rand(0, 3, 8, 8))


@pytest.mark.parametrize("absent", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, absent):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == absent else find(name, *rest))
    with pytest.raises(ImportError, match=f"export_onnx_int8: needs .* but there is no {absent}$"):
        export_onnx_int8(tiny(), tmp_path / "a.onnx", rand(4, 3, 8, 8))


# What the ends of networks cost: only what does not depend on the clock.


def test_shares_of_operators_are_those_of_the_network(files, sample):
    shares = softmax_cost.operator_shares(files / "float.onnx", sample[0][:2], runs=3)
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert {"Conv", "Gemm"} < set(shares)
    assert "Softmax" not in shares
    with pytest.raises(ValueError, match="runs must be at least 2"):
        softmax_cost.operator_shares(files / "float.onnx", sample[0][:2], runs=1)


def test_every_segmentation_head_has_its_softmax():
    features = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU()).eval()
    found = softmax_cost.segmentation_shares(features, size=32, classes=5, runs=2)
    assert tuple(found) == softmax_cost.HEADS
    assert all("Softmax" in shares for shares in found.values())
    with pytest.raises(ValueError, match="maps of features must have shape"):
        softmax_cost.segmentation_shares(nn.Flatten().eval(), size=32)


@pytest.mark.parametrize("head", softmax_cost.HEADS)
def test_segmentation_heads_give_logits_of_each_pixel(head):
    features = nn.Conv2d(3, 8, 3, 4, 1)
    images = rand(2, 3, 16, 24)
    model = softmax_cost.SegmentationHead(features, 8, 4, head, classes=5).eval()
    with torch.no_grad():
        assert model(images).shape == (2, 5, 16, 24)
        probabilities = softmax_cost.Ending(model)(images)
        best = softmax_cost.Ending(model, "argmax")(images)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 16, 24))
    assert torch.equal(probabilities.argmax(1), best)


def test_ratios_are_of_the_first():
    calls = []
    ratios = softmax_cost.time_ratios({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == ["a", "b"] * 4
    assert ratios["a"] == 1
    for functions, rounds in (({}, 3), ({"a": int}, 0)):
        with pytest.raises(ValueError, match="there must be functions and rounds"):
            softmax_cost.time_ratios(functions, rounds=rounds)


def test_what_is_timed_has_names():
    softmax = softmax_cost.softmax_against_argmax(classes=3, size=8, rounds=1)
    assert {name: list(times) for name, times in softmax.items()} == dict.fromkeys(
        ("torch", "onnxruntime"), ["softmax", "argmax"]
    )
    activations = softmax_cost.activation_ratios(count=64, rounds=1)
    assert {name: list(times) for name, times in activations.items()} == dict.fromkeys(
        ("torch", "onnxruntime"), ["relu6", "hardswish", "silu", "table"]
    )
