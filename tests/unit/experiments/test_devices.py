"""The kept results of the devices hold what the chapter says of them."""

import pytest

from cvlab import experiments, interactive
from cvlab.experiments.devices import figure_rows


@pytest.fixture(scope="module")
def kept():
    return experiments.load("devices")


def row(kept, device, numbers):
    (found,) = [r for r in kept["rows"] if (r["device"], r["numbers"]) == (device, numbers)]
    return found


def test_every_device_is_there(kept):
    devices = {r["device"].split(",")[0] for r in kept["rows"]}
    assert devices == {"training", "server CPU", "iPhone", "Android", "Cortex-M3", "browser"}
    assert all(r["accuracy"] >= 0.96 and r["agreement"] >= 0.97 for r in kept["rows"])


def test_the_chip(kept):
    whole, real = row(kept, "Cortex-M3", "int8"), row(kept, "Cortex-M3", "float32 by software")
    assert whole["fits"]
    assert not real["fits"]
    assert real["flash"] > real["flash limit"]
    assert 10 < real["instructions"] / whole["instructions"] < 25


def test_sizes_of_the_iphone_fall(kept):
    sizes = [r["bytes"] for r in kept["rows"] if r["device"].startswith("iPhone")]
    assert sizes == sorted(sizes, reverse=True)
    assert row(kept, "iPhone, Core ML", "float16")["agreement"] >= 0.999


def test_the_detector_loses_nothing(kept):
    found = kept["detector"]
    for name in ("int8 in C", "int8 in onnxruntime"):
        assert found[name]["AP"] == pytest.approx(found["float"]["AP"], abs=0.005)
    assert found["fits"]
    assert not found["fits a small board"]


def test_the_figure_takes_them(kept):
    rows = figure_rows(kept["rows"])
    interactive.device_table(rows)
    assert {r["checked"] for r in rows} == {"run", "emulated", "read back"}
    units = {r["device"]: r["unit"] for r in rows if "unit" in r}
    assert units["Cortex-M3"] == "instructions"
