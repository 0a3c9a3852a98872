"""Programs of ExecuTorch: what the network says in float, as right in int8, and what is refused."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import nn

from cvlab.data import digits
from cvlab.models import digit_net
from cvlab.quant.targets.executorch_xnnpack import export_pte, load_pte, run_pte

pytest.importorskip("executorch", reason="executorch is not installed")


class Two(nn.Module):
    """Has two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)

    def forward(self, images):
        maps = self.first(images).relu()
        return maps.mean((2, 3)), self.second(maps)


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def two():
    torch.manual_seed(0)
    return Two().eval()


@pytest.fixture(scope="module")
def program(two, tmp_path_factory):
    return export_pte(two, tmp_path_factory.mktemp("pte") / "float.pte", size=(9, 7))


def test_float_program_says_what_the_network_says(two, program):
    images = rand(5, 3, 9, 7)
    with torch.no_grad():
        for found, expected in zip(run_pte(program, images), two(images), strict=True):
            torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-5, rtol=1e-5)


def test_int8_is_as_right_as_float(tmp_path):
    model = digit_net("digit_net")
    images, labels = digits(500, "test")
    images = images.float() / 255
    path = export_pte(model, tmp_path / "digits.pte", digits(40, "train")[0].float() / 255)
    found = torch.from_numpy(run_pte(path, images)[0].argmax(1))
    with torch.no_grad():
        expected = model(images).argmax(1)
    assert abs(float((found == labels).float().mean() - (expected == labels).float().mean())) <= 0.015
    assert float((found == expected).float().mean()) >= 0.97
    assert path.stat().st_size < 0.4 * 4 * sum(p.numel() for p in model.parameters())


def test_images_of_another_size_are_refused(program):
    with pytest.raises(ValueError, match=r"run_pte: images must have shape \(B, 3, 9, 7\), got \(1, 3, 8, 8\)"):
        run_pte(program, rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="run_pte: images must hold at least one image"):
        run_pte(program, rand(0, 3, 9, 7))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="load_pte: path must name a file"):
        load_pte(tmp_path / "none.pte")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (rand(0, 3, 9, 7), "calibration must hold at least one image"),
        (rand(2, 4, 9, 7), r"calibration must have shape \(B, 3, H, W\)"),
        (torch.full((2, 3, 9, 7), float("nan")), r"calibration\[0, 0, 0, 0\] is not finite"),
    ],
)
def test_calibration_that_cannot_be_is_refused(two, tmp_path, images, message):
    with pytest.raises(ValueError, match=f"export_pte: {message}"):
        export_pte(two, tmp_path / "a.pte", images)


def test_models_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match="export_pte: the model is in training mode"):
        export_pte(Two(), tmp_path / "a.pte")
    model = Two().eval()
    model.first.weight.data[3, 2, 1, 0] = float("nan")
    with pytest.raises(ValueError, match=r"export_pte: first.weight\[3, 2, 1, 0\] is not finite: nan"):
        export_pte(model, tmp_path / "a.pte")


@pytest.mark.parametrize("absent", ["executorch", "torchao"])
def test_a_missing_package_is_named(two, tmp_path, monkeypatch, absent):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == absent else find(name, *a))
    with pytest.raises(ImportError, match=f"export_pte: needs .* but there is no {absent}$"):
        export_pte(two, tmp_path / "a.pte")
