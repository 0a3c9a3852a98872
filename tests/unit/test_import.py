"""`import cvlab` is light: heavy libraries come with the part that needs them."""

import subprocess
import sys

import pytest

import cvlab


def test_import_loads_no_heavy_library():
    heavy = ("torch", "numpy", "torchvision", "matplotlib", "PIL")
    code = f"import sys, cvlab; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_subpackages_and_functions_are_found_lazily():
    code = "import cvlab; print(cvlab.ops.nms.__name__, cvlab.source.__name__, cvlab.profile.__name__)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["nms", "source", "profile"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'cvlab' has no attribute 'opps'"):
        cvlab.opps  # noqa: B018


def test_dir_lists_what_is_public():
    assert set(cvlab.__all__) <= set(dir(cvlab))
