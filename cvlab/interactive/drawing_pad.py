"""A pad to draw a digit on, and a network in whole numbers that reads it, in the page itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from cvlab import _check
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_names
from cvlab.quant import IntegerModel
from cvlab.quant.targets.c_source import integer_c
from cvlab.quant.targets.wasm import build_wasm

QUESTION = "Which digit is it? And what does each layer see of it?"
MOST_EXAMPLES = 20


def drawing_pad(
    model: IntegerModel,
    examples: Tensor,
    names: Sequence[str] | None = None,
    *,
    layers: Sequence[str] | None = None,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a pad whose drawing a network reads with every stroke; its WebAssembly goes into the figure.

    Args:
        model: takes (H, W, 3) int8 whose bytes are those of a picture less 128, and gives one row of classes.
        examples: (N, 3, H, W) uint8, up to 20 pictures to begin with; the first one gives the colours.
        names: of the classes; None for their numbers.
        layers: names of the maps that can be looked at; None for all that have places.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: if the model takes or gives something else, or there are no examples or too many.
        ImportError: if the package ziglang is missing.
    """
    op = "drawing_pad"
    _check.shape(op, "examples", examples, ("N", 3, *model.shape[:2]))
    if not 1 <= len(examples) <= MOST_EXAMPLES:
        raise _check.InputError(f"{op}: there must be 1 to {MOST_EXAMPLES} examples, got {len(examples)}")
    source, result = model.params[model.input], model.params[model.outputs[0]]
    if int(source.zero_point) != -128 or abs(float(source.scale) * 255 - 1) > 1e-6 or len(model.outputs) != 1:
        raise _check.InputError(f"{op}: the model must take bytes less 128, with scale 1/255, and give one output")
    classes = model.layers[-1].shape[-1]
    program = integer_c(model, keep=True)
    shown = [layer for layer in model.layers if len(layer.shape) == 3 and layer.name in program.places]
    shown = shown if layers is None else [layer for layer in shown if layer.name in layers]
    alt = (
        f"A pad of {model.shape[1]} by {model.shape[0]} pixels to draw a digit on. A network in whole numbers, compiled "
        f"to WebAssembly, reads it: bars show how likely each of {classes} classes is, and pictures show the int8 maps of "
        "a chosen layer."
    )
    height, width, _ = model.shape
    return StaticFigure(
        op,
        alt,
        question=question,
        width=width,
        height=height,
        names=as_names(op, "names", names, classes, "class")[:classes],
        examples=_base64(examples.permute(0, 2, 3, 1).contiguous().numpy()),
        count=len(examples),
        net={"module": _base64(np.frombuffer(build_wasm(program), np.uint8)), "dtype": "int8", "outputs": classes},
        scale=float(result.scale),
        zero=int(result.zero_point),
        layers=[
            {"name": _title(i, layer), "place": program.places[layer.name], "shape": list(layer.shape)}
            for i, layer in enumerate(shown)
        ],
    )


def _title(index: int, layer: Any) -> str:
    h, w, c = layer.shape
    return f"{index + 1}: {layer.op.replace('_', ' ')}, {c} maps of {h} × {w}"


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
