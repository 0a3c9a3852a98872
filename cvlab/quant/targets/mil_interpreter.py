"""Run a Core ML package without a Mac: read its operations and weights back, and compute them one by one in torch.

What a phone's processors do with each sum is not published. Here every operation is computed in float32 from stored
numbers, and its result is stored again, which rounds it; sums of products may be made in fewer bits too.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cvlab import _check
from cvlab.quant.float16 import check_float
from cvlab.quant.targets.coreml import load_package, quiet

Arguments = dict[str, Any]
"""Of one operation, by name: float32 tensors, whole numbers, words; and `shapes` of the results, and `accumulate`."""

Operation = Callable[[Arguments], Tensor | Sequence[Tensor]]

_OP = "run_mil"
_UNPACKING = ("constexpr_affine_dequantize", "constexpr_lut_to_dense")  # of compressed weights, once for all images


def run_mil(
    path: str | Path,
    images: Tensor,
    *,
    dtype: torch.dtype = torch.float16,
    accumulate: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """Compute what a package gives for images.

    Args:
        path: the package.
        images: (N, ...) float; N a multiple of the number of images that the program takes at once.
        dtype: torch.float16, torch.bfloat16 or torch.float32, in which weights and results of operations are stored.
        accumulate: as much, for the sums of products in convolutions and matrix products. In torch.float32 they are
            made as torch makes them; otherwise one product after another is added and the sum rounded, which is slow
            and the worst that a processor could do.

    Returns:
        The outputs by name, in the order of the program, (N, ...) of `dtype`.

    Raises:
        InputError: if there is no such package, it has an operation that is not known or takes other images, or a type
            of numbers is another.
        ImportError: if coremltools is missing.

    Example:
        >>> run_mil("digits.mlpackage", torch.zeros(5, 3, 32, 32))["linear"].shape  # doctest: +SKIP
        torch.Size([5, 10])
    """
    for name, value in (("dtype", dtype), ("accumulate", accumulate)):
        check_float(_OP, name, value)
    _check.numeric(_OP, "images", images, floating=True)
    program = _program(path, dtype)
    batch, *rest = program.shape
    _check.shape(_OP, "images", images, ("N", *rest))
    if len(images) % batch:
        raise _check.InputError(f"{_OP}: the program takes {batch} images at once, got {len(images)} in all")
    with torch.no_grad():
        parts = [program.run(part, dtype, accumulate) for part in images.split(batch)] if len(images) else []
    return {
        name: torch.cat([part[name] for part in parts]) if parts else torch.empty(0, *shape[1:], dtype=dtype)
        for name, shape in program.outputs.items()
    }


def count_operations(path: str | Path) -> dict[str, int]:
    """Count the operations of a package by type, most frequent first.

    Args:
        path: the package.

    Returns:
        The number of each type, without constants.

    Raises:
        InputError: if there is no such package.
        ImportError: if coremltools is missing.
    """
    operations = _function("count_operations", path).operations
    return dict(Counter(o.op_type for o in operations if o.op_type != "const").most_common())


@dataclass(frozen=True)
class _Name:
    """Stands for a value that is computed."""

    name: str


@dataclass(frozen=True, eq=False)
class _Step:
    """One operation with its arguments: constants, and names of what is computed."""

    kind: str
    arguments: Arguments
    names: list[str]


@dataclass(frozen=True, eq=False)
class _Program:
    """What is to be computed."""

    input: str
    shape: tuple[int, ...]
    weights: dict[str, Tensor]
    steps: list[_Step]
    outputs: dict[str, tuple[int, ...]]

    def run(self, images: Tensor, dtype: torch.dtype, accumulate: torch.dtype) -> dict[str, Tensor]:
        """Compute the outputs for as many images as the program takes."""
        values = {**self.weights, self.input: _stored(images, dtype)}
        for step in self.steps:
            _take(step, values, dtype, accumulate)
        return {name: values[name] for name in self.outputs}


def _take(step: _Step, values: dict[str, Tensor], dtype: torch.dtype, accumulate: torch.dtype) -> None:
    """Compute one operation from values, and put its results among them."""
    arguments = {name: _looked_up(value, values) for name, value in step.arguments.items()}
    results = OPERATIONS[step.kind]({**arguments, "accumulate": accumulate})
    results = [results] if isinstance(results, Tensor) else results
    values.update((name, _stored(r, dtype)) for name, r in zip(step.names, results, strict=True))


def _looked_up(value: Any, values: dict[str, Tensor]) -> Any:
    """Give the value that an argument stands for, float numbers as float32."""
    if isinstance(value, list):
        return [_looked_up(v, values) for v in value]
    value = values[value.name] if isinstance(value, _Name) else value
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def _stored(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype) if x.is_floating_point() else x


def _function(op: str, path: str | Path) -> Any:
    """Read the function of a package."""
    package = load_package(op, path)
    with quiet():
        from coremltools.converters.mil.frontend.milproto.load import load

        spec = package.get_spec()
        program = load(spec, spec.specificationVersion, file_weights_dir=package.weights_dir or "")
    return program.functions["main"]


def _program(path: str | Path, dtype: torch.dtype) -> _Program:
    """Read a package as steps, its constants stored in a type."""
    function = _function(_OP, path)
    if len(function.inputs) != 1:
        raise _check.InputError(f"{_OP}: {Path(path).name} must have one input, got {', '.join(function.inputs)}")
    ((name, variable),) = function.inputs.items()
    steps = [_step(o, dtype) for o in function.operations if o.op_type != "const"]
    weights: dict[str, Tensor] = {}
    for step in steps:
        if step.kind in _UNPACKING:
            _take(step, weights, dtype, torch.float32)
    rest = [step for step in steps if step.kind not in _UNPACKING]
    return _Program(name, tuple(variable.shape), weights, rest, {o.name: tuple(o.shape) for o in function.outputs})


def _step(operation: Any, dtype: torch.dtype) -> _Step:
    if operation.op_type not in OPERATIONS:
        known = ", ".join(sorted(OPERATIONS))
        raise _check.InputError(
            f"{_OP}: operations must be among {known}; got {operation.op_type!r}, which computes "
            f"{operation.outputs[0].name!r}"
        )
    arguments = {name: _argument(v, dtype) for name, v in operation.inputs.items() if v is not None}
    shapes = [tuple(o.shape) for o in operation.outputs]
    return _Step(operation.op_type, {**arguments, "shapes": shapes}, [o.name for o in operation.outputs])


def _argument(variable: Any, dtype: torch.dtype) -> Any:
    """Give a constant as a tensor, a number or a word, and a name for what is computed."""
    if isinstance(variable, list | tuple):
        return [_argument(v, dtype) for v in variable]
    if variable.val is None:
        return _Name(variable.name)
    value = np.asarray(variable.val)
    if value.dtype.kind == "f":
        return torch.from_numpy(np.array(value)).to(dtype)
    if value.ndim == 0:
        return value.item()
    return torch.from_numpy(value.astype(np.int64))


# The operations: what does with its arguments what Core ML's operation of the same name does.


def _products(weight: Tensor, x: Tensor, accumulate: torch.dtype) -> Tensor:
    """Multiply matrices (..., M, K) and (..., K, L), each product added to a sum that is rounded."""
    total = weight.new_zeros(1)
    for k in range(weight.shape[-1]):
        total = (total + weight[..., k, None] * x[..., k, None, :]).to(accumulate).float()
    return total


def _conv(a: Arguments) -> Tensor:
    weight, groups, bias = a["weight"], a.get("groups", 1), a.get("bias")
    kernel, strides, dilations = weight.shape[2:], _pair(a, "strides"), _pair(a, "dilations")
    _flat("conv", a["x"])
    x = functional.pad(a["x"], _border(a, kernel, strides, dilations))
    if a["accumulate"] == torch.float32:
        return functional.conv2d(x, weight, bias, strides, 0, dilations, groups)
    columns = functional.unfold(x, kernel, dilations, 0, strides).unflatten(1, (groups, -1))  # (B, G, K, L)
    rows = weight.flatten(1).unflatten(0, (groups, -1))  # (G, O / G, K)
    total = _products(rows, columns, a["accumulate"]).reshape(a["shapes"][0])
    return total if bias is None else total + bias[:, None, None]


def _linear(a: Arguments) -> Tensor:
    if a["accumulate"] == torch.float32:
        return functional.linear(a["x"], a["weight"], a.get("bias"))
    total = _products(a["x"], a["weight"].T, a["accumulate"])
    return total + a["bias"] if "bias" in a else total


def _matmul(a: Arguments) -> Tensor:
    x = a["x"].mT if a.get("transpose_x") else a["x"]
    y = a["y"].mT if a.get("transpose_y") else a["y"]
    return x @ y if a["accumulate"] == torch.float32 else _products(x, y, a["accumulate"])


def _batch_norm(a: Arguments) -> Tensor:
    return functional.batch_norm(a["x"], a["mean"], a["variance"], a.get("gamma"), a.get("beta"), eps=_epsilon(a))


def _instance_norm(a: Arguments) -> Tensor:
    return functional.instance_norm(a["x"], weight=a.get("gamma"), bias=a.get("beta"), eps=_epsilon(a))


def _avg_pool(a: Arguments) -> Tensor:
    border, ceil = _pooled(a)
    inside = not a.get("exclude_padding_from_average", False)
    if border[0] != border[1] or border[2] != border[3]:
        if not inside:
            raise _check.InputError(f"{_OP}: avg_pool that leaves out its border must have an even one, got {border}")
        x, padding = functional.pad(a["x"], border), (0, 0)
    else:
        x, padding = a["x"], (border[2], border[0])
    return functional.avg_pool2d(x, _pair(a, "kernel_sizes"), _pair(a, "strides"), padding, ceil, inside)


def _max_pool(a: Arguments) -> Tensor:
    border, ceil = _pooled(a)
    x = functional.pad(a["x"], border, value=-torch.inf)
    return functional.max_pool2d(x, _pair(a, "kernel_sizes"), _pair(a, "strides"), ceil_mode=ceil)


def _pooled(a: Arguments) -> tuple[list[int], bool]:
    """Give the border around what is pooled, and whether the last window may reach beyond it."""
    _flat("pooling", a["x"])
    border = _border(a, _pair(a, "kernel_sizes"), _pair(a, "strides"), [1, 1])
    return border, bool(a.get("ceil_mode", False))


def _flat(kind: str, x: Tensor) -> None:
    if x.dim() != 4:
        raise _check.InputError(f"{_OP}: {kind} must have maps (B, C, H, W), got shape {tuple(x.shape)}")


def _pair(a: Arguments, name: str) -> list[int]:
    return a[name].tolist() if name in a else [1, 1]


def _border(a: Arguments, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """Give the numbers of pixels left, right, above and below that an operation adds around its maps."""
    kind = a["pad_type"]
    if kind == "valid":
        return [0, 0, 0, 0]
    if kind == "custom":
        top, bottom, left, right = a["pad"].tolist()
        return [left, right, top, bottom]
    sides = []
    for size, k, s, d in zip(a["x"].shape[-2:], kernel, strides, dilations, strict=True):
        total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        sides.append([total // 2, total - total // 2] if kind == "same" else [total - total // 2, total // 2])
    return [*sides[1], *sides[0]]


def _epsilon(a: Arguments) -> float:
    return float(a.get("epsilon", 1e-5))


def _clip(a: Arguments) -> Tensor:
    return a["x"].clamp(float(a["alpha"]), float(a["beta"]))


def _reduced(a: Arguments, reduce: Callable[..., Tensor]) -> Tensor:
    axes = a["axes"].tolist() if "axes" in a else list(range(a["x"].dim()))
    return reduce(a["x"], dim=axes, keepdim=bool(a.get("keep_dims", False)))


def _reshaped(a: Arguments) -> Tensor:
    return a["x"].reshape(a["shapes"][0])


def _concat(a: Arguments) -> Tensor:
    if a.get("interleave", False):
        raise _check.InputError(f"{_OP}: concat must join one tensor after another, got interleave")
    return torch.cat(a["values"], a["axis"])


def _split(a: Arguments) -> Sequence[Tensor]:
    axis = a["axis"]
    return a["x"].split([shape[axis] for shape in a["shapes"]], axis)


def _slice_by_index(a: Arguments) -> Tensor:
    """Slice along every dimension, as Python does; a masked begin or end counts as missing, a squeezed one as index."""
    none = [0] * a["x"].dim()
    step = a["stride"].tolist() if "stride" in a else [1] * a["x"].dim()
    first, last, squeeze = (
        a[name].tolist() if name in a else none for name in ("begin_mask", "end_mask", "squeeze_mask")
    )
    x = a["x"]
    for axis, (begin, end) in enumerate(zip(a["begin"].tolist(), a["end"].tolist(), strict=True)):
        size = x.shape[axis]
        chosen = slice(None if first[axis] else begin, None if last[axis] else end, step[axis])
        places = [begin % size] if squeeze[axis] else range(size)[chosen]
        x = x.index_select(axis, torch.tensor(list(places), dtype=torch.int64))
    return x.reshape(a["shapes"][0])


def _pad(a: Arguments) -> Tensor:
    pairs = a["pad"].reshape(-1, 2).tolist()  # of the last dimensions, in their order
    mode = a.get("mode", "constant")
    if mode == "constant":
        amounts = [n for pair in reversed(pairs) for n in pair]
        return functional.pad(a["x"], amounts, value=float(a.get("constant_val", 0.0)))
    if any(n for pair in pairs[:-2] for n in pair):
        raise _check.InputError(f"{_OP}: pad {mode!r} must concern the last two dimensions, got {pairs}")
    return functional.pad(a["x"], [n for pair in reversed(pairs[-2:]) for n in pair], mode=mode)


def _upsample(a: Arguments, mode: str, **options: Any) -> Tensor:
    factors = tuple(float(a.get(f"scale_factor_{side}", 1)) for side in ("height", "width"))
    return functional.interpolate(a["x"], scale_factor=factors, mode=mode, **options)


def _upsample_bilinear(a: Arguments) -> Tensor:
    return _upsample(a, "bilinear", align_corners=bool(a.get("align_corners", True)))


def _cast(a: Arguments) -> Tensor:
    """Change the type of numbers; float ones are all stored alike, so that only those to whole ones are changed."""
    kind = a["dtype"]
    if kind.startswith("fp"):
        return a["x"].float()
    return a["x"].bool() if kind == "bool" else a["x"].to(torch.int64)


def _affine_dequantize(a: Arguments) -> Tensor:
    """Unpack whole numbers with a scale and a zero point, for all or for each place along an axis."""
    q, axis = a["quantized_data"], a["axis"]
    scale, zero = (torch.as_tensor(a[name], dtype=torch.float32) for name in ("scale", "zero_point"))
    shape = [-1 if i == axis % q.dim() else 1 for i in range(q.dim())]
    return scale.reshape(shape) * (q - zero.reshape(shape))


def _lut_to_dense(a: Arguments) -> Tensor:
    """Unpack places in a palette: of `bits` each, without gaps between them, the lowest bits of a byte first."""
    shape = a["shape"].tolist()
    bits = (len(a["lut"]) - 1).bit_length()
    stream = (a["indices"][:, None] >> torch.arange(8)) & 1  # (bytes, 8)
    places = stream.flatten()[: bits * int(np.prod(shape))].reshape(-1, bits) << torch.arange(bits)
    return a["lut"][places.sum(1)].reshape(shape)


def _of_x(function: Callable[[Tensor], Tensor]) -> Operation:
    return lambda a: function(a["x"])


def _of_two(function: Callable[[Any, Any], Tensor]) -> Operation:
    return lambda a: function(a["x"], a["y"])


OPERATIONS: dict[str, Operation] = {
    "add": _of_two(torch.add),
    "avg_pool": _avg_pool,
    "batch_norm": _batch_norm,
    "cast": _cast,
    "clip": _clip,
    "concat": _concat,
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_lut_to_dense": _lut_to_dense,
    "conv": _conv,
    "exp": _of_x(torch.exp),
    "expand_dims": _reshaped,
    "identity": _of_x(torch.clone),
    "instance_norm": _instance_norm,
    "linear": _linear,
    "matmul": _matmul,
    "max_pool": _max_pool,
    "maximum": _of_two(torch.maximum),
    "minimum": _of_two(torch.minimum),
    "mul": _of_two(torch.mul),
    "pad": _pad,
    "real_div": _of_two(torch.div),
    "reduce_max": functools.partial(_reduced, reduce=torch.amax),
    "reduce_mean": functools.partial(_reduced, reduce=torch.mean),
    "reduce_sum": functools.partial(_reduced, reduce=torch.sum),
    "relu": _of_x(torch.relu),
    "relu6": _of_x(functional.relu6),
    "reshape": _reshaped,
    "rsqrt": lambda a: torch.rsqrt(a["x"] + float(a.get("epsilon", 1e-12))),
    "sigmoid": _of_x(torch.sigmoid),
    "silu": _of_x(functional.silu),
    "slice_by_index": _slice_by_index,
    "softmax": lambda a: torch.softmax(a["x"], a.get("axis", -1)),
    "split": _split,
    "sqrt": _of_x(torch.sqrt),
    "squeeze": _reshaped,
    "stack": lambda a: torch.stack(a["values"], a["axis"]),
    "sub": _of_two(torch.sub),
    "tanh": _of_x(torch.tanh),
    "transpose": lambda a: a["x"].permute(a["perm"].tolist()),
    "upsample_bilinear": _upsample_bilinear,
    "upsample_nearest_neighbor": functools.partial(_upsample, mode="nearest"),
}
"""What each known type of operation does."""
