"""The profile: what the machine and the environment variable decide."""

from __future__ import annotations

import pytest
import torch

from cvlab import profile


@pytest.fixture(autouse=True)
def _plain_machine(monkeypatch):
    """A machine without a GPU and without the environment variable."""
    monkeypatch.delenv("CVLAB_PROFILE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_a_cpu_is_quick():
    assert profile() == "quick"


@pytest.mark.parametrize("device", [torch.cuda, torch.backends.mps])
def test_a_gpu_is_full(monkeypatch, device):
    monkeypatch.setattr(device, "is_available", lambda: True)
    assert profile() == "full"


@pytest.mark.parametrize("asked", ["quick", "full"])
@pytest.mark.parametrize("gpu", [False, True])
def test_the_variable_decides(monkeypatch, asked, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setenv("CVLAB_PROFILE", asked)
    assert profile() == asked


def test_an_empty_variable_is_no_variable(monkeypatch):
    monkeypatch.setenv("CVLAB_PROFILE", "")
    assert profile() == "quick"


@pytest.mark.parametrize("asked", ["Full", "fast", "1"])
def test_other_values_are_refused(monkeypatch, asked):
    monkeypatch.setenv("CVLAB_PROFILE", asked)
    with pytest.raises(ValueError, match=f"profile: CVLAB_PROFILE must be 'quick' or 'full', got '{asked}'"):
        profile()
