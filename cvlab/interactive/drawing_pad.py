"""A pad to draw a digit on, and a network in whole numbers that reads it, in the page itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cvlab import _check
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_names
from cvlab.quant import IntegerLayer, IntegerModel
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
        model: takes (H, W, 3) int8 whose bytes are those of a picture less 128, and gives one row of classes, as
            `cvlab.models.digit_net` does once it is quantized.
        examples: (N, 3, H, W) uint8, up to 20 pictures to begin with.
        names: of the classes; None for their numbers.
        layers: names of the maps that can be looked at; None for all with rows and columns.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: if the model takes or gives something else, there are no examples, too many or none of bytes, or a
            layer is not among those that can be looked at.
        ImportError: if the package ziglang is missing.

    Notes:
        Lines are brought to what `cvlab.data.digits` makes of handwriting before the network sees them: put in the
        middle, enlarged until they fill the picture, averaged in blocks of 4 x 4 pixels, and smoothly enlarged again.

    Example:
        >>> from cvlab.data import digits
        >>> from cvlab.models import digit_net
        >>> from cvlab.quant import quantize_model, to_integer
        >>> images = digits(8, "val")[0]
        >>> model = to_integer(quantize_model(digit_net("digit_net"), [images.float() / 255], input_range=(0, 1)))
        >>> drawing_pad(model, images)  # doctest: +SKIP
        <interactive figure: drawing_pad>
    """
    op = "drawing_pad"
    if len(model.shape) != 3 or model.shape[2] != 3:
        raise _check.InputError(f"{op}: the model must take pictures (H, W, 3), got {model.shape}")
    _check.shape(op, "examples", examples, ("N", 3, *model.shape[:2]))
    if examples.dtype != torch.uint8:
        raise _check.InputError(f"{op}: examples must be torch.uint8, got {examples.dtype}")
    if not 1 <= len(examples) <= MOST_EXAMPLES:
        raise _check.InputError(f"{op}: there must be 1 to {MOST_EXAMPLES} examples, got {len(examples)}")
    source, result = model.params[model.input], model.params[model.outputs[0]]
    if int(source.zero_point) != -128 or abs(float(source.scale) * 255 - 1) > 1e-6:
        raise _check.InputError(f"{op}: the model must take bytes less 128, with scale 1/255")
    last = next(layer for layer in model.layers if layer.name == model.outputs[0])
    if len(model.outputs) != 1 or len(last.shape) != 1:
        raise _check.InputError(f"{op}: the model must give one row of classes, got {len(model.outputs)} outputs")
    classes = last.shape[0]
    called = as_names(op, "names", names, classes, "class")[:classes]
    program = integer_c(model, keep=True)
    shown = _layers(op, [layer for layer in model.layers if layer.name in program.places], layers)
    alt = (
        f"A pad of {model.shape[1]} by {model.shape[0]} pixels to draw a digit on. A network in whole numbers, "
        f"compiled to WebAssembly, reads it: bars show how likely each of {classes} classes is, and pictures show the "
        "int8 maps of a chosen layer."
    )
    height, width, _ = model.shape
    return StaticFigure(
        op,
        alt,
        question=question,
        width=width,
        height=height,
        names=called,
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


def _layers(op: str, kept: Sequence[IntegerLayer], names: Sequence[str] | None) -> list[IntegerLayer]:
    """Choose the layers that can be looked at, in the order of the network."""
    maps = {layer.name: layer for layer in kept if len(layer.shape) == 3}
    for name in maps if names is None else names:
        _check.choice(op, "each of layers", name, list(maps))
    chosen = [layer for name, layer in maps.items() if names is None or name in names]
    if not chosen:
        raise _check.InputError(f"{op}: there must be a layer to look at, got none")
    return chosen


def _title(index: int, layer: IntegerLayer) -> str:
    h, w, c = layer.shape
    return f"{index + 1}: {layer.op.replace('_', ' ')}, {c} maps of {h} × {w}"


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
