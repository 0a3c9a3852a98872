"""Quantization: numbers as small whole numbers with a scale, and the arithmetic of networks that know no others."""

from cvlab.quant.affine import QuantParams, choose_qparams, dequantize, fake_quantize, quantize
from cvlab.quant.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier
from cvlab.quant.integer import (
    Rescale,
    add_int8,
    avg_pool_int8,
    conv2d_int8,
    depthwise_conv2d_int8,
    fully_connected_int8,
    max_pool_int8,
)
from cvlab.quant.observers import HistogramObserver, MinMaxObserver, MovingAverageObserver, Observer

__all__ = [
    "HistogramObserver",
    "MinMaxObserver",
    "MovingAverageObserver",
    "Observer",
    "QuantParams",
    "Rescale",
    "add_int8",
    "avg_pool_int8",
    "choose_qparams",
    "conv2d_int8",
    "depthwise_conv2d_int8",
    "dequantize",
    "fake_quantize",
    "fully_connected_int8",
    "max_pool_int8",
    "multiply_by_quantized_multiplier",
    "quantize",
    "quantize_multiplier",
]
