"""What softmax and its kin cost at the end of a network, measured on this CPU with one thread, told as ratios."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlab import _check
from cvlab.quant.targets import _ready
from cvlab.quant.targets.onnx_qdq import export_onnx_float, export_onnx_int8, onnx_session

HEADS = ("softmax, then bilinear", "bilinear", "nearest", "shuffled")
"""What `SegmentationHead` can do."""


class Ending(nn.Module):
    """Puts something behind a network.

    Args:
        model: the network.
        end: "softmax" or "argmax", over the channels; "none" for nothing.
    """

    def __init__(self, model: nn.Module, end: str = "softmax") -> None:
        super().__init__()
        _check.choice("Ending", "end", end, ("softmax", "argmax", "none"))
        self.model, self.end = model, end

    def forward(self, images: Tensor) -> Tensor:
        """Compute probabilities, the best class, or logits."""
        logits = self.model(images)
        if self.end == "none":
            return logits
        return logits.softmax(1) if self.end == "softmax" else logits.argmax(1)


class SegmentationHead(nn.Module):
    """Turns small maps of features into logits of each pixel, in one of several ways.

    Args:
        features: takes images (B, 3, H, W) and gives (B, C, H / scale, W / scale).
        channels: C.
        scale: how much smaller the maps are.
        head: one of `HEADS`. "softmax, then bilinear" has its softmax on the small map and interpolates probabilities;
            "bilinear" and "nearest" interpolate the logits; "shuffled" computes `scale` x `scale` times as many logits
            for each place of the small map and lays them out as pixels.
        classes: their number.

    Returns:
        Called with images, (B, classes, H, W).
    """

    def __init__(self, features: nn.Module, channels: int, scale: int, head: str, classes: int = 21) -> None:
        super().__init__()
        _check.choice("SegmentationHead", "head", head, HEADS)
        self.features, self.scale, self.head = features, scale, head
        self.classify = nn.Conv2d(channels, classes * (scale**2 if head == "shuffled" else 1), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, or probabilities with "softmax, then bilinear"."""
        logits = self.classify(self.features(images))
        if self.head == "shuffled":
            return functional.pixel_shuffle(logits, self.scale)
        if self.head == "softmax, then bilinear":
            logits = logits.softmax(1)
        mode = "nearest" if self.head == "nearest" else "bilinear"
        return functional.interpolate(logits, scale_factor=float(self.scale), mode=mode)


def operator_shares(path: str | Path, images: Tensor, *, runs: int = 20) -> dict[str, float]:
    """Measure with onnxruntime's profiler which share of the time each kind of operator takes.

    Args:
        path: an ONNX file that takes the images.
        images: (B, 3, H, W) float.
        runs: how often it runs; the first does not count.

    Returns:
        The shares by the operators' names, the largest first; together 1.

    Notes:
        The profiler counts whole microseconds, so that operators shorter than that are told coarsely.

    Raises:
        InputError: if there is no such file, the images are none, or the runs are below 2.
        ImportError: if onnxruntime is missing.
    """
    images = _ready.images("operator_shares", "images", images)
    if runs < 2:
        raise _check.InputError(f"operator_shares: runs must be at least 2, got {runs}")
    with tempfile.TemporaryDirectory() as folder:
        session = onnx_session(path, profile=Path(folder) / "profile")
        for _ in range(runs):
            session.run(None, {session.get_inputs()[0].name: images.numpy()})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = [e for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")]
    times: Counter[str] = Counter()
    for event in nodes[len(nodes) // runs :]:
        times[event["args"]["op_name"]] += event["dur"]
    total = sum(times.values())
    return {name: spent / total for name, spent in times.most_common()}


def softmax_shares(model: nn.Module, images: Tensor, *, int8: bool = False, runs: int = 20) -> dict[str, float]:
    """Measure which share of the time each kind of operator takes in a network that ends with a softmax.

    Args:
        model: takes images and gives logits (B, K) or (B, K, H, W); in evaluation mode.
        images: (B, 3, H, W) float.
        int8: whether it is quantized first, calibrated with the images.
        runs: of `operator_shares`.

    Returns:
        As `operator_shares`; the softmax is "Softmax", or "QLinearSoftmax" on whole numbers.

    Raises:
        InputError: as `export_onnx_float`.
        ImportError: as `export_onnx_float`.
    """
    with tempfile.TemporaryDirectory() as folder:
        export = export_onnx_int8 if int8 else export_onnx_float
        path = export(Ending(model).train(model.training), Path(folder) / "network.onnx", images)
        return operator_shares(path, images, runs=runs)


def segmentation_shares(
    features: nn.Module, *, size: int = 128, classes: int = 21, int8: bool = False, runs: int = 20
) -> dict[str, dict[str, float]]:
    """Measure `softmax_shares` in segmentation networks that differ in how they come to the size of the image.

    Args:
        features: takes images (B, 3, H, W) and gives smaller maps (B, C, H / s, W / s); in evaluation mode.
        size: height and width of the image.
        classes: their number.
        int8: whether the networks are quantized.
        runs: of `operator_shares`.

    Returns:
        The shares for each of `HEADS`. The weights of the heads are random, for they do not matter.

    Raises:
        InputError: if the features are no maps, or as `export_onnx_float`.
        ImportError: as `export_onnx_float`.
    """
    _ready.network("segmentation_shares", features)
    images = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = features(images)
    _check.shape("segmentation_shares", "maps of features", maps, (1, "C", "H", "W"))
    found = {}
    for head in HEADS:
        model = SegmentationHead(features, maps.shape[1], size // maps.shape[2], head, classes).eval()
        with tempfile.TemporaryDirectory() as folder:
            whole = model if head == HEADS[0] else Ending(model).eval()
            path = Path(folder) / "network.onnx"
            (export_onnx_int8 if int8 else export_onnx_float)(whole, path, images)
            found[head] = operator_shares(path, images, runs=runs)
    return found


def time_ratios(functions: Mapping[str, Callable[[], Any]], *, rounds: int = 15) -> dict[str, float]:
    """Time functions in turn, so that what disturbs one disturbs the others too.

    Args:
        functions: by name; they take nothing.
        rounds: how often each is called, once more at first to warm up.

    Returns:
        The shortest time of each, divided by that of the first.

    Raises:
        InputError: if there are no functions, or no rounds.
    """
    if not functions or rounds < 1:
        raise _check.InputError(f"time_ratios: there must be functions and rounds, got {len(functions)} and {rounds}")
    best = dict.fromkeys(functions, float("inf"))
    for turn in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    first = next(iter(best.values()))
    return {name: spent / first for name, spent in best.items()}


def softmax_against_argmax(*, classes: int = 21, size: int = 128, rounds: int = 15) -> dict[str, dict[str, float]]:
    """Time softmax and argmax over the classes of all pixels of an image.

    Args:
        classes: their number.
        size: height and width of the image.
        rounds: of `time_ratios`.

    Returns:
        For "torch" and "onnxruntime" the times of "softmax" and "argmax", divided by that of the softmax.

    Raises:
        ImportError: if onnx or onnxruntime is missing.
    """
    _ready.needs("softmax_against_argmax", "onnx", "onnxruntime")
    logits = torch.randn(1, classes, size, size, generator=torch.Generator().manual_seed(0)) * 4
    in_torch = {"softmax": lambda: logits.softmax(1), "argmax": lambda: logits.argmax(1)}
    nodes = {"softmax": [("Softmax", {"axis": 1})], "argmax": [("ArgMax", {"axis": 1, "keepdims": 0})]}
    return {
        "torch": _one_thread(in_torch, rounds),
        "onnxruntime": time_ratios(
            {name: _onnx(steps, logits.numpy()) for name, steps in nodes.items()}, rounds=rounds
        ),
    }


def activation_ratios(*, count: int = 1 << 18, rounds: int = 30) -> dict[str, dict[str, float]]:
    """Time activations on as many numbers.

    Args:
        count: of the numbers.
        rounds: of `time_ratios`.

    Returns:
        For "torch" and "onnxruntime" the times of "relu6", "hardswish", "silu" and "table", divided by that of ReLU6.
        The first three take and give float32; the table has 256 entries, takes and gives uint8, and can be any function
        of one number. Under "torch" it is Python's `bytes.translate`, faster than what NumPy and torch have for it; in
        onnxruntime it is what QLinearSigmoid does.

    Raises:
        ImportError: if onnx or onnxruntime is missing.
    """
    _ready.needs("activation_ratios", "onnx", "onnxruntime")
    x = torch.randn(1, 1, 1, count, generator=torch.Generator().manual_seed(0)) * 4
    whole = ((x + 16) * 8).clamp(0, 255).to(torch.uint8).numpy()
    letters, table = whole.tobytes(), bytes(range(256))
    functions = {
        "relu6": lambda: functional.relu6(x),
        "hardswish": lambda: functional.hardswish(x),
        "silu": lambda: functional.silu(x),
        "table": lambda: letters.translate(table),
    }
    sessions = {
        "relu6": _onnx([("Clip", {}, np.float32(0), np.float32(6))], x.numpy()),
        "hardswish": _onnx([("HardSwish", {})], x.numpy()),
        "silu": _onnx([("Sigmoid", {}), ("Mul", {})], x.numpy()),
        "table": _onnx([("QLinearSigmoid", {}, *_SCALES)], whole),
    }
    return {"torch": _one_thread(functions, rounds), "onnxruntime": time_ratios(sessions, rounds=rounds)}


_SCALES = (np.float32(1 / 8), np.uint8(128), np.float32(1 / 256), np.uint8(0))


def _one_thread(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Time functions of torch with one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            return time_ratios(functions, rounds=rounds)
    finally:
        torch.set_num_threads(threads)


def _onnx(steps: list[tuple[Any, ...]], x: np.ndarray) -> Callable[[], Any]:
    """Make a function that sends x through operators, each (name, attributes, constants); "Mul" is with x."""
    from onnx import helper, numpy_helper

    nodes, constants, last = [], [], "x"
    for i, (kind, attributes, *values) in enumerate(steps):
        names = [f"c{i}_{j}" for j in range(len(values))]
        constants += [numpy_helper.from_array(np.asarray(v), n) for v, n in zip(values, names, strict=True)]
        domain = "com.microsoft" if kind.startswith("QLinear") else ""
        inputs = [last, "x"] if kind == "Mul" else [last, *names]
        last = f"y{i}"
        nodes.append(helper.make_node(kind, inputs, [last], domain=domain, **attributes))
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    result = helper.np_dtype_to_tensor_dtype(np.dtype(np.int64)) if steps[-1][0] == "ArgMax" else kind
    graph = helper.make_graph(
        nodes,
        "steps",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info(last, result, None)],
        constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps.onnx"
        path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
        session = onnx_session(path)
    return lambda: session.run(None, {"x": x})
