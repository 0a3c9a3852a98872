"""PyTorch's own way to whole numbers: an exported graph with quantizers in it, as torchao makes it.

Called as it is, the graph computes in float and rounds after each operator: it shows what a device would find, slowly.
Compiled by inductor, it runs on whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import _check
from cvlab.quant.targets import _ready
from cvlab.quant.targets.cpu import cpu_features, saturates


def quantize_pt2e(model: nn.Module, calibration: Tensor, *, reduce_range: bool | None = None) -> torch.fx.GraphModule:
    """Quantize a network for x86 CPUs with torchao, after training.

    Args:
        model: takes images (B, 3, H, W) and gives a tensor or several; in evaluation mode, on the CPU.
        calibration: images (N, 3, H, W) float as those that will come, from which the ranges of all activations are
            taken.
        reduce_range: whether activations have 7 bits, so that no sum of two products can overflow 16 bits; None to do
            so where this CPU may need it (`saturates`). onnxruntime takes the bit from the weights.

    Returns:
        A module in evaluation mode, for any number of images of that size. Activations are uint8 with one scale each,
        weights int8 with one scale for each channel; the numbers between operators are kept as float ones that are
        rounded to these.

    Raises:
        InputError: if the model is in training mode, there are no images to calibrate with, or weights or images hold
            NaN or infinity.
        ImportError: if torchao is missing.

    Notes:
        Up to torch 2.13 this was `torch.ao.quantization.quantize_pt2e`; torch 2.14 has it no more, and torchao has.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2)).eval()
        >>> quantized = quantize_pt2e(net, torch.rand(4, 3, 8, 8))
        >>> quantized(torch.rand(5, 3, 8, 8)).shape
        torch.Size([5, 2])
    """
    op = "quantize_pt2e"
    _ready.needs(op, "torchao")
    _ready.network(op, model)
    calibration = _ready.images(op, "calibration", calibration)
    with _ready.quiet("torch.utils._pytree"):  # torchao's first import says what it will have to change
        from torchao.quantization import pt2e
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    if reduce_range is None:
        reduce_range = saturates(cpu_features()) is not False
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config(reduce_range=reduce_range))
    example = torch.zeros(2, *calibration.shape[1:])
    program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    prepared = prepare_pt2e(program.module(), quantizer)
    with torch.no_grad():
        for batch in calibration.split(32):
            prepared(batch)
    converted = pt2e.move_exported_model_to_eval(convert_pt2e(prepared))
    return pt2e.allow_exported_model_train_eval(converted)


def compile_pt2e(quantized: torch.fx.GraphModule, images: Tensor) -> Callable[[Tensor], Any]:
    """Compile what `quantize_pt2e` gives with inductor, so that it runs on whole numbers.

    Args:
        quantized: the module.
        images: (B, 3, H, W) float; the result takes images of this shape only.

    Returns:
        A function that takes images and gives what the module gives, without gradients.

    Raises:
        InputError: if the images are none; and the function, if they have another shape.

    Notes:
        It needs a C++ compiler, and takes most of a minute. Inductor finds the operators on whole numbers only with
        its setting "freezing", which makes the weights constants; it must be on while the first images go through.
    """
    from torch._inductor import config

    images = _ready.images("compile_pt2e", "images", images)
    compiled = torch.compile(quantized, dynamic=False)

    def run(images: Tensor) -> Any:
        if images.shape != shape:
            raise _check.InputError(f"compile_pt2e: images must have shape {shape}, got {tuple(images.shape)}")
        with torch.no_grad():
            return compiled(images)

    shape = tuple(images.shape)
    with config.patch(freezing=True):
        run(images)
    return run
