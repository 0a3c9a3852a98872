"""The kept results on quantization belong to the code, and hold what the chapters say of them."""

import pytest

from cvlab import experiments
from cvlab.experiments import quantization as code
from cvlab.quant import OBSERVERS


@pytest.fixture(scope="module")
def kept():
    return experiments.load("quantization")


def test_every_setting_was_measured(kept):
    assert list(kept["calibrated"]) == [code._name(bits) for bits in code.BITS]
    for row in kept["calibrated"].values():
        assert len(row) == 2 * len(OBSERVERS)
    assert list(kept["trained"]) == [code._name(bits) for bits in code.TRAINED]
    assert all(len(r["after"]) == len(code.SEEDS) for r in kept["trained"].values())


def test_what_the_chapter_says_holds(kept):
    rows, whole = kept["calibrated"], kept["float"]
    assert all(value >= whole - 0.01 for bits in ("W8A8", "W6A8") for value in rows[bits].values())
    channel, tensor = ({k: v for k, v in rows["W3A8"].items() if way in k} for way in ("channel", "tensor"))
    assert min(channel.values()) > max(tensor.values()) + 0.1
    assert min(kept["trained"]["W4A4"]["after"]) > kept["trained"]["W4A4"]["before"]


def test_a_kept_figure_is_found_again(kept):
    found = code.accuracy(code.quantized(8, 8))
    assert found == pytest.approx(kept["calibrated"]["W8A8"]["per channel, minmax"], abs=2e-3)
