"""Quantization: numbers as small whole numbers with a scale, and the arithmetic of networks that know no others."""

from cvlab.quant.affine import QuantParams, choose_qparams, dequantize, fake_quantize, quantize
from cvlab.quant.convert import to_integer
from cvlab.quant.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier
from cvlab.quant.graph import Graph, Node, fold_batch_norm, trace
from cvlab.quant.integer import (
    Rescale,
    add_int8,
    avg_pool_int8,
    conv2d_int8,
    conv_transpose2d_int8,
    depthwise_conv2d_int8,
    fully_connected_int8,
    max_pool_int8,
    mean_int8,
)
from cvlab.quant.integer_model import IntegerLayer, IntegerModel
from cvlab.quant.layers import run
from cvlab.quant.lsq import LearnedStep
from cvlab.quant.model import OBSERVERS, QuantModel, quantize_model
from cvlab.quant.observers import HistogramObserver, MinMaxObserver, MovingAverageObserver, Observer
from cvlab.quant.tables import exp_table, lookup, lookup_table, softmax_int8

__all__ = [
    "Graph",
    "HistogramObserver",
    "IntegerLayer",
    "IntegerModel",
    "LearnedStep",
    "MinMaxObserver",
    "MovingAverageObserver",
    "Node",
    "OBSERVERS",
    "Observer",
    "QuantModel",
    "QuantParams",
    "Rescale",
    "add_int8",
    "avg_pool_int8",
    "choose_qparams",
    "conv2d_int8",
    "conv_transpose2d_int8",
    "depthwise_conv2d_int8",
    "dequantize",
    "exp_table",
    "fake_quantize",
    "fold_batch_norm",
    "fully_connected_int8",
    "lookup",
    "lookup_table",
    "max_pool_int8",
    "mean_int8",
    "multiply_by_quantized_multiplier",
    "quantize",
    "quantize_model",
    "quantize_multiplier",
    "run",
    "softmax_int8",
    "to_integer",
    "trace",
]
