"""Transposed convolution against PyTorch's, and its matrix, over all combinations of their parameters."""

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from cvlab import ops

pair = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def layers(draw):
    """Draw a batch, weights, and the arguments of a layer whose result has pixels."""
    stride, dilation, kernel = draw(pair), draw(pair), draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    groups, each = draw(st.integers(1, 3)), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    for n, k, s, p, o, d in zip(size, kernel, stride, padding, extra, dilation, strict=True):
        assume((n - 1) * s - 2 * p + d * (k - 1) + 1 + o > 0)
    g = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(draw(st.integers(1, 2)), groups * each[0], *size, generator=g, dtype=torch.float64)
    weight = torch.randn(groups * each[0], each[1], *kernel, generator=g, dtype=torch.float64)
    bias = torch.randn(groups * each[1], generator=g, dtype=torch.float64) if draw(st.booleans()) else None
    named = {"stride": stride, "padding": padding, "output_padding": extra, "groups": groups, "dilation": dilation}
    return x, weight, bias, named


@given(layers())
@settings(deadline=None, max_examples=120, derandomize=True)
def test_all_forms_are_those_of_pytorch(layer):
    x, weight, bias, named = layer
    expected = functional.conv_transpose2d(x, weight, bias, **named)
    for way in (ops.trans_conv, ops.trans_conv_reference, ops.trans_conv_as_matrix, ops.trans_conv_as_conv):
        torch.testing.assert_close(way(x, weight, bias, **named), expected, atol=1e-10, rtol=0)


@given(layers())
@settings(deadline=None, max_examples=60, derandomize=True)
def test_gradients_are_those_of_pytorch(layer):
    x, weight, bias, named = layer
    inputs = [t.clone().requires_grad_() for t in (x, weight, bias) if t is not None]
    grads = []
    for way in (ops.trans_conv, functional.conv_transpose2d):
        out = way(*inputs, **named)
        wave = torch.arange(out.numel(), dtype=torch.float64).sin().view_as(out)
        grads.append(torch.autograd.grad((out * wave).sum(), inputs))
    for got, expected in zip(*grads, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-10, rtol=0)


@given(layers())
@settings(deadline=None, max_examples=60, derandomize=True)
def test_it_is_the_adjoint_of_the_convolution(layer):
    """<Ax, y> = <x, A'y>, where A is the convolution with the very same weights."""
    y, weight, _, named = layer
    up = ops.trans_conv(y, weight, **named)
    own = {name: named[name] for name in ("stride", "padding", "groups", "dilation")}
    x = torch.arange(up.numel(), dtype=torch.float64).cos().view_as(up)
    down = functional.conv2d(x, weight, **own)
    assume(down.shape == y.shape)  # an output padding of the dilation or more has no convolution that leads back
    torch.testing.assert_close((down * y).sum(), (x * up).sum(), atol=1e-9, rtol=1e-9)


@given(layers())
@settings(deadline=None, max_examples=60, derandomize=True)
def test_the_matrix_is_that_of_the_convolution(layer):
    _, weight, _, named = layer
    options = {name: named[name] for name in ("stride", "padding", "groups", "dilation")}
    size = [
        max(d * (k - 1) + 1 - 2 * p, 1) + 2
        for k, p, d in zip(weight.shape[2:], named["padding"], named["dilation"], strict=True)
    ]
    x = torch.arange(2.0 * weight.shape[1] * named["groups"] * size[0] * size[1], dtype=torch.float64).cos()
    x = x.reshape(2, -1, *size)
    expected = functional.conv2d(x, weight, **options)
    matrix = ops.conv_matrix(weight, size, **options)
    torch.testing.assert_close(x.flatten(1) @ matrix.T, expected.flatten(1), atol=1e-12, rtol=0)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_counts_sum_to_all_that_is_laid_down(size, kernel, stride, padding):
    full = ops.overlap_counts(size, kernel, stride)
    assert full.sum() == size * kernel
    assume(len(full) > 2 * padding)
    assert torch.equal(ops.overlap_counts(size, kernel, stride, padding), full[padding : len(full) - padding])


@given(st.integers(1, 3), st.integers(1, 3), st.tuples(st.integers(1, 4), st.integers(1, 4)))
@settings(deadline=None, max_examples=40, derandomize=True)
def test_pixel_shuffle_is_a_transposed_convolution(channels, factor, size):
    """Each of the channels of a square lays down a kernel with a single 1, at its place in the square."""
    x = torch.arange(float(channels * factor**2 * size[0] * size[1])).reshape(1, -1, *size)
    places = torch.eye(factor**2).reshape(factor**2, 1, factor, factor).repeat(channels, 1, 1, 1)
    assert torch.equal(ops.trans_conv(x, places, stride=factor, groups=channels), ops.pixel_shuffle(x, factor))


def test_gradcheck():
    x, weight = torch.randn(2, 2, 3, 2, dtype=torch.float64), torch.randn(2, 2, 3, 3, dtype=torch.float64)
    bias = torch.randn(2, dtype=torch.float64)
    inputs = [t.requires_grad_() for t in (x, weight, bias)]
    assert torch.autograd.gradcheck(lambda *t: ops.trans_conv(*t, stride=2, padding=1, output_padding=1), inputs)
