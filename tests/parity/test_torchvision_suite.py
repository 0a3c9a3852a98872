"""torchvision's own tests must pass with cvlab's functions in their place."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = os.environ.get("CVLAB_TORCHVISION_TESTS")


@pytest.mark.skipif(not FOLDER, reason="CVLAB_TORCHVISION_TESTS does not name torchvision's test folder")
def test_torchvisions_own_tests():
    runner = Path(__file__).with_name("torchvision_suite.py")
    result = subprocess.run([sys.executable, runner, FOLDER], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    passed = re.search(r"'passed': (\d+)", result.stdout)
    assert passed is not None
    assert int(passed[1]) >= 100  # version 0.21 has 134
