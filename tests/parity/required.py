"""Packages that a test compares with."""

import importlib
import os
from types import ModuleType

import pytest


def required(name: str) -> ModuleType:
    """Import a module; where it is missing skip the tests, but fail where CI is set, which installs everything."""
    if os.environ.get("CI"):
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name} is not installed")
