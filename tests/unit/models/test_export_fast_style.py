"""A network of style transfer as an ONNX file: any number and size of pictures, and what is refused."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from cvlab import models
from cvlab._check import InputError


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model = models.fast_style()
    path = models.export_fast_style(model, tmp_path_factory.mktemp("onnx") / "painter.onnx")
    return model, onnxruntime.InferenceSession(path)


@pytest.mark.parametrize("shape", [(2, 50, 70), (1, 64, 64), (1, 16, 16), (3, 33, 47), (1, 130, 18)])
def test_it_paints_the_same_at_any_size(exported, shape):
    model, session = exported
    images = torch.rand(shape[0], 3, *shape[1:], generator=torch.Generator().manual_seed(1))
    (painted,) = session.run(["painted"], {"images": images.numpy()})
    with torch.no_grad():
        expected = model(images)
    assert painted.shape == tuple(images.shape)
    np.testing.assert_allclose(painted, expected.numpy(), atol=1e-4)


def test_training_mode_is_refused(tmp_path):
    with pytest.raises(InputError, match="export_fast_style: the model is in training mode"):
        models.export_fast_style(models.FastStyleNet().train(), tmp_path / "painter.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_missing_packages_are_named(tmp_path, monkeypatch, package):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(ImportError, match=f"export_fast_style: needs .* no {package}"):
        models.export_fast_style(models.fast_style(), tmp_path / "painter.onnx")
