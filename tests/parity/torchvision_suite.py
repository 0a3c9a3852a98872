"""Run torchvision's own tests with cvlab's functions in the place of torchvision's.

    python tests/parity/torchvision_suite.py FOLDER

FOLDER is the folder `test` of torchvision's source tree (test_ops.py, common_utils.py, conftest.py and
optests_failures_dict.json are needed, and assets/masks.tiff). Only the classes that are about functions that cvlab has
are run; everything else in torchvision stays as it is.
"""

import os
import re
import sys
from pathlib import Path

import pytest
import torchvision

from cvlab import ops

FUNCTIONS = [
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "complete_box_iou",
    "distance_box_iou",
    "generalized_box_iou",
    "masks_to_boxes",
    "nms",
    "remove_small_boxes",
]
CLASSES = [
    "TestNMS",
    "TestBoxConvert",
    "TestBoxConvertRotated",
    "TestBoxArea",
    "TestBoxIou",
    "TestGeneralizedBoxIou",
    "TestDistanceBoxIoU",
    "TestCompleteBoxIou",
    "TestMasksToBoxes",
]


def put_cvlab_in_place() -> None:
    """Replace the functions both where they are exported and where torchvision's own code looks them up."""
    for name in FUNCTIONS:
        for module in (torchvision.ops, torchvision.ops.boxes):
            setattr(module, name, getattr(ops, name))


class Count:
    """Counts how the tests end."""

    def __init__(self) -> None:
        self.outcomes = {"passed": 0, "failed": 0, "skipped": 0}

    def pytest_runtest_logreport(self, report) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] += 1


def run(folder: Path) -> dict[str, int]:
    """Run the classes that the folder's test_ops.py has, and count passed, failed and skipped tests."""
    put_cvlab_in_place()
    file = folder / "test_ops.py"
    present = set(re.findall(r"^class (\w+)", file.read_text(), re.MULTILINE))
    chosen = [f"{file}::{name}" for name in CLASSES if name in present]
    count = Count()
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(folder), "-W", "ignore"]
    code = pytest.main([*options, *chosen], plugins=[count])
    if code not in (0, 1):
        raise SystemExit(f"torchvision's tests could not be run: pytest ended with {code!r}")
    return count.outcomes


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    outcomes = run(Path(sys.argv[1]).resolve())
    print(outcomes)
    raise SystemExit(int(outcomes["failed"] > 0 or outcomes["passed"] == 0))
