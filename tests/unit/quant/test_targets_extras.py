"""What a reader without an extra is told."""

import pytest

from cvlab import _check
from cvlab.quant import targets


def test_a_missing_extra_names_the_command_and_shows_what_was_kept(monkeypatch):
    monkeypatch.setitem(targets.EXTRAS, "mcu", ("ziglang", "no_such_module"))
    assert targets.missing("mcu") == ["no_such_module"]
    text = targets.shown("mcu", lambda: pytest.fail("must not be made"), "kept: 42")
    assert text.startswith('needs no_such_module: pip install "cvlab-book[mcu] @ git+https://')
    assert text.endswith("kept: 42")
    assert "mcu: missing no_such_module" in targets.report()
    assert targets.report().endswith(targets.install_command("mcu"))


def test_an_extra_that_is_there_is_used(monkeypatch):
    monkeypatch.setitem(targets.EXTRAS, "mcu", ("math",))
    assert targets.shown("mcu", lambda: 42) == 42


def test_unknown_extra():
    with pytest.raises(_check.InputError, match="missing: extra"):
        targets.missing("gpu")
