"""cvlab.ops.transposed and upsample against PyTorch's layers, and against SciPy's convolution."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch import nn
from torch.nn import functional

from cvlab import ops

SLOW = [ops.trans_conv_reference, ops.trans_conv_as_matrix, ops.trans_conv_as_conv]


def _random(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def _settings():
    """All small settings of one axis that PyTorch takes: size, kernel, stride, padding, output padding, dilation."""
    for size, kernel, stride, padding, dilation in product((1, 3), (1, 2, 3), (1, 2, 4), (0, 1, 3), (1, 3)):
        for extra in range(max(stride, dilation)):
            if (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + extra > 0:
                yield size, kernel, stride, padding, extra, dilation


def test_every_small_setting_of_one_axis():
    """Output paddings of a stride or more among them, and paddings that take more than a whole kernel."""
    count = 0
    for size, kernel, stride, padding, extra, dilation in _settings():
        x, weight = _random(1, 1, 1, size, dtype=torch.float64), _random(1, 1, 1, kernel, dtype=torch.float64, seed=1)
        named = {
            "stride": (1, stride),
            "padding": (0, padding),
            "output_padding": (0, extra),
            "dilation": (1, dilation),
        }
        expected = functional.conv_transpose2d(x, weight, **named)
        for way in (ops.trans_conv, *SLOW):
            torch.testing.assert_close(way(x, weight, **named), expected, atol=1e-12, rtol=0)
        assert ops.trans_conv_out_size(size, kernel, stride, padding, extra, dilation) == expected.shape[3]
        count += 1
    assert count > 200


@pytest.mark.parametrize("extra", [1, 2, 3])
def test_too_much_output_padding_is_refused_in_the_same_cases(extra):
    x, weight = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)
    for stride, dilation in product((1, 2, 3), (1, 2, 3)):
        named = {"stride": stride, "dilation": dilation, "output_padding": extra}
        refused = []
        for way in (functional.conv_transpose2d, ops.trans_conv):
            try:
                way(x, weight, **named)
                refused.append(False)
            except RuntimeError:
                refused.append(True)
        assert refused[0] == refused[1] == (extra >= max(stride, dilation))


@pytest.mark.parametrize(
    "named",
    [
        {"in_channels": 8, "out_channels": 8, "kernel_size": 4, "stride": 2, "padding": 1},
        {"in_channels": 11, "out_channels": 11, "kernel_size": 16, "stride": 8, "padding": 4, "bias": False},
        {"in_channels": 6, "out_channels": 9, "kernel_size": (3, 5), "stride": (2, 1), "padding": (1, 2), "groups": 3},
        {"in_channels": 5, "out_channels": 10, "kernel_size": 2, "dilation": 3, "output_padding": 2, "groups": 5},
    ],
)
def test_layers(named):
    torch.manual_seed(0)
    layer, x = nn.ConvTranspose2d(**named), _random(3, named["in_channels"], 9, 7)
    settings = {name: getattr(layer, name) for name in ("stride", "padding", "output_padding", "groups", "dilation")}
    torch.testing.assert_close(ops.trans_conv(x, layer.weight, layer.bias, **settings), layer(x), atol=1e-5, rtol=1e-5)


def test_other_layouts_in_memory():
    """Channels last, every other pixel of a larger map, one picture for all of a batch."""
    weight = _random(4, 3, 3, 3)
    last = _random(2, 4, 5, 6).contiguous(memory_format=torch.channels_last)
    for x in (last, _random(2, 4, 10, 12)[..., ::2, 1::2], _random(1, 4, 5, 6).expand(3, -1, -1, -1)):
        for kernels in (weight, weight.flip(0).transpose(2, 3)):
            expected = functional.conv_transpose2d(x, kernels, stride=2, padding=1)
            torch.testing.assert_close(ops.trans_conv(x, kernels, stride=2, padding=1), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 2e-2), (torch.bfloat16, 1e-1)])
def test_half_precision_comes_back_in_its_type(dtype, tolerance):
    x, weight = _random(2, 4, 5, 5).to(dtype), _random(4, 3, 4, 4, seed=1).to(dtype)
    out = ops.trans_conv(x, weight, stride=2, padding=1)
    assert out.dtype == dtype
    exact = functional.conv_transpose2d(x.double(), weight.double(), stride=2, padding=1)
    torch.testing.assert_close(out.double(), exact, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("shape", [(4, 5), (1, 6), (2, 2)])
def test_stride_one_is_the_full_convolution_of_mathematics(shape):
    x, weight = _random(*shape, dtype=torch.float64), _random(3, 2, dtype=torch.float64, seed=1)
    for way in (ops.trans_conv, *SLOW):
        np.testing.assert_allclose(way(x[None, None], weight[None, None])[0, 0], convolve2d(x, weight), atol=1e-12)


def test_it_is_the_gradient_of_the_convolution_and_its_weights_fit_as_they_are():
    down = nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False).double()
    x = _random(2, 3, 8, 9, dtype=torch.float64).requires_grad_()
    y = down(x)
    slope = _random(*y.shape, dtype=torch.float64, seed=1)
    extra = tuple(ops.output_padding_for(n, 3, 2, 1) for n in (8, 9))
    up = ops.trans_conv(slope, down.weight, stride=2, padding=1, output_padding=extra)
    torch.testing.assert_close(up, torch.autograd.grad(y, x, slope)[0], atol=1e-12, rtol=0)


def test_second_derivatives():
    x, weight = _random(1, 2, 2, 3, dtype=torch.float64), _random(2, 1, 2, 2, dtype=torch.float64, seed=1)
    inputs = (x.requires_grad_(), weight.requires_grad_())
    assert torch.autograd.gradgradcheck(lambda a, b: ops.trans_conv(a, b, stride=2, groups=2), inputs)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 3, 0), (3, 1, 1)])
def test_unpooling(kernel, stride, padding):
    """PyTorch's own cannot be told that windows overlap, but the size; both put a value that comes twice once."""
    x = _random(2, 3, 9, 12)
    pooled, places = functional.max_pool2d(x, kernel, stride, padding, return_indices=True)
    expected = functional.max_unpool2d(pooled, places, kernel, stride, padding, output_size=(9, 12))
    assert torch.equal(ops.max_unpool(pooled, places, (9, 12)), expected)
