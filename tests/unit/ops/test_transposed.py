"""Transposed convolution by hand, its sizes, and what it refuses."""

import numpy as np
import pytest
import torch

from cvlab import ops

WAYS = [ops.trans_conv, ops.trans_conv_reference, ops.trans_conv_as_matrix, ops.trans_conv_as_conv]
SQUARE = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])


@pytest.mark.parametrize("way", WAYS)
def test_overlapping_kernels_add_up(way):
    expected = torch.tensor([[0.0, 0.0, 1.0], [0.0, 4.0, 6.0], [4.0, 12.0, 9.0]])  # 0*3 + 1*2 + 2*1 + 3*0 in the middle
    assert torch.equal(way(SQUARE, SQUARE)[0, 0], expected)


@pytest.mark.parametrize("way", WAYS)
def test_stride_lays_kernels_apart(way):
    expected = torch.tensor([[0.0, 0, 0, 1], [0, 0, 2, 3], [0, 2, 0, 3], [4, 6, 6, 9]])
    assert torch.equal(way(SQUARE, SQUARE, stride=2)[0, 0], expected)


@pytest.mark.parametrize("way", WAYS)
def test_padding_takes_the_edge_away(way):
    full = way(SQUARE, SQUARE, stride=2)
    assert torch.equal(way(SQUARE, SQUARE, stride=2, padding=1), full[..., 1:-1, 1:-1])
    assert torch.equal(way(SQUARE, SQUARE, stride=2, padding=(0, 1)), full[..., :, 1:-1])


@pytest.mark.parametrize("way", WAYS)
def test_output_padding_gives_back_what_was_taken_or_zeros(way):
    full = way(SQUARE, SQUARE, stride=2)
    given = way(SQUARE, SQUARE, stride=2, padding=1, output_padding=1)
    assert torch.equal(given, full[..., 1:, 1:])
    beyond = way(SQUARE, SQUARE, stride=2, output_padding=(1, 0))
    assert torch.equal(beyond[..., :4, :], full)
    assert torch.equal(beyond[..., 4, :], torch.zeros(1, 1, 4))


@pytest.mark.parametrize("way", WAYS)
def test_groups_know_nothing_of_each_other(way):
    x = torch.rand(1, 4, 3, 3, dtype=torch.float64)
    weight = torch.rand(4, 2, 2, 2, dtype=torch.float64)
    both = way(x, weight, groups=2)
    torch.testing.assert_close(both[:, :2], way(x[:, :2], weight[:2]))
    torch.testing.assert_close(both[:, 2:], way(x[:, 2:], weight[2:]))


@pytest.mark.parametrize("way", WAYS)
def test_bias_is_added_everywhere(way):
    bias = torch.tensor([1.0, -2.0])
    weight = torch.rand(1, 2, 2, 2)
    torch.testing.assert_close(way(SQUARE, weight, bias), way(SQUARE, weight) + bias[:, None, None])


@pytest.mark.parametrize("way", WAYS)
def test_no_pictures(way):
    assert way(torch.zeros(0, 1, 2, 2), SQUARE).shape == (0, 1, 3, 3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.zeros(1, 2, 2)}, r"x must have shape \(B, C, H, W\), got \(1, 2, 2\)"),
        ({"x": torch.zeros(1, 1, 2, 2).int()}, "x must be floating point"),
        ({"x": torch.zeros(1, 3, 2, 2)}, r"weight must have shape \(3, C_out / groups, kh, kw\), got \(1, 1, 2, 2\)"),
        ({"groups": 0}, "groups must be a whole number of at least 1, got 0"),
        ({"x": torch.zeros(1, 3, 2, 2), "weight": torch.zeros(3, 1, 2, 2), "groups": 2}, "groups must divide the 3"),
        ({"bias": torch.zeros(2)}, r"bias must have shape \(1,\), got \(2,\)"),
        ({"stride": (1, 2, 3)}, r"stride must be one number or two, got \(1, 2, 3\)"),
        ({"stride": "ab"}, "stride must be one number or two, got 'ab'"),
        ({"stride": 1.5}, "stride must be a whole number of at least 1, got 1.5"),
        ({"dilation": True}, "dilation must be a whole number of at least 1, got True"),
        ({"dilation": (1, 0)}, r"dilation\[1\] must be a whole number of at least 1, got 0"),
        ({"padding": -1}, "padding must be a whole number of at least 0, got -1"),
        ({"padding": (0, 0.5)}, r"padding\[1\] must be a whole number of at least 0, got 0.5"),
        ({"stride": 0}, "stride must be a whole number of at least 1, got 0"),
        ({"output_padding": -1}, "output_padding must be a whole number of at least 0, got -1"),
        ({"output_padding": 1}, "output_padding must be smaller than the stride or the dilation, got 1 with stride 1"),
        ({"padding": 2}, "padding 2 leaves nothing of 3 pixels"),
        ({"x": torch.zeros(1, 1, 0, 2)}, r"x must have no side of length 0, got \(1, 1, 0, 2\)"),
        ({"weight": torch.zeros(1, 0, 2, 2)}, r"weight must have no side of length 0, got \(1, 0, 2, 2\)"),
        ({"weight": SQUARE.double()}, "weight must be torch.float32, as x is, got torch.float64"),
        ({"bias": torch.zeros(1).half()}, "bias must be torch.float32, as x is, got torch.float16"),
    ],
)
def test_what_is_refused(way, arguments, message):
    with pytest.raises(ValueError, match=f"{way.__name__}: {message}"):
        way(**{"x": SQUARE, "weight": SQUARE, **arguments})


def test_what_is_no_tensor():
    with pytest.raises(TypeError, match="trans_conv: x must be a torch.Tensor, got list"):
        ops.trans_conv([[1.0]], SQUARE)


# --- sizes ---


def test_sizes_by_counting():
    for size in range(1, 12):
        for kernel in range(1, 5):
            for stride in range(1, 4):
                for padding in range(3):
                    for dilation in (1, 2):
                        span = dilation * (kernel - 1) + 1
                        starts = [s for s in range(-padding, size + padding, stride) if s + span <= size + padding]
                        if starts:
                            got = ops.conv_out_size(size, kernel, stride, padding, dilation)
                            assert got == len(starts)
                        else:
                            with pytest.raises(ValueError, match=f"the kernel spans {span} pixels"):
                                ops.conv_out_size(size, kernel, stride, padding, dilation)


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_down_and_up_brings_every_size_back(stride, dilation):
    for size in range(8, 30):
        down = ops.conv_out_size(size, 3, stride, 1, dilation)
        rest = ops.output_padding_for(size, 3, stride, 1, dilation)
        assert 0 <= rest < stride
        assert ops.trans_conv_out_size(down, 3, stride, 1, rest, dilation) == size


@pytest.mark.parametrize("size", [0, -3, 2.0, True, None, "7"])
@pytest.mark.parametrize("count", [ops.conv_out_size, ops.trans_conv_out_size, ops.output_padding_for])
def test_sizes_that_are_none(count, size):
    with pytest.raises(ValueError, match=f"{count.__name__}: size must be a whole number of at least 1, got {size!r}"):
        count(size, 1)


@pytest.mark.parametrize("count", [ops.conv_out_size, ops.trans_conv_out_size, ops.output_padding_for])
@pytest.mark.parametrize(("name", "least"), [("kernel", 1), ("stride", 1), ("dilation", 1), ("padding", 0)])
def test_other_numbers_that_are_none(count, name, least):
    with pytest.raises(
        ValueError, match=f"{count.__name__}: {name} must be a whole number of at least {least}, got -1"
    ):
        count(**{"size": 5, "kernel": 3, name: -1})


def test_numbers_of_numpy_become_those_of_python():
    size = np.int64(5)
    for count in (
        ops.conv_out_size(size, size),
        ops.trans_conv_out_size(size, size),
        ops.output_padding_for(size, 2, 2),
    ):
        assert type(count) is int


def test_the_kernel_that_the_way_back_does_not_find():
    with pytest.raises(
        ValueError, match="output_padding_for: the kernel spans 7 pixels, more than 4 and twice padding 1"
    ):
        ops.output_padding_for(4, kernel=4, padding=1, dilation=2)


# --- the matrix ---


def test_matrix_by_hand():
    weight = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    expected = torch.tensor([[1.0, 2, 0, 3, 4, 0], [0, 1, 2, 0, 3, 4]])
    assert torch.equal(ops.conv_matrix(weight, (2, 3)), expected)
    padded = ops.conv_matrix(weight, (1, 1), padding=1)
    assert torch.equal(padded, torch.tensor([[4.0], [3.0], [2.0], [1.0]]))  # each output reads another place


def test_matrix_of_groups_has_blocks():
    matrix = ops.conv_matrix(torch.ones(4, 1, 1, 1), (1, 2), groups=2)  # 2 channels in, 4 out
    assert torch.equal(matrix, torch.kron(torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]]), torch.eye(2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": torch.ones(4, 1, 1)}, r"weight must have shape \(C_out, C_in / groups, kh, kw\), got \(4, 1, 1\)"),
        ({"weight": torch.ones(4, 1, 1, 1).bool()}, "weight must be float or integer, got torch.bool"),
        ({"groups": 3}, "groups must divide the 4 output channels, got 3"),
        ({"groups": 0}, "groups must be a whole number of at least 1, got 0"),
        ({"size": (1, 2, 3)}, r"size must be one number or two, got \(1, 2, 3\)"),
        ({"size": (2, 0)}, r"size\[1\] must be a whole number of at least 1, got 0"),
        ({"stride": 0}, "stride must be a whole number of at least 1, got 0"),
        ({"padding": -1}, "padding must be a whole number of at least 0, got -1"),
        ({"dilation": 0}, "dilation must be a whole number of at least 1, got 0"),
        ({"weight": torch.ones(4, 1, 3, 1)}, "the kernel spans 3 pixels, more than 2 and twice padding 0"),
    ],
)
def test_what_is_no_matrix(arguments, message):
    with pytest.raises(ValueError, match=message):
        ops.conv_matrix(**{"weight": torch.ones(4, 1, 1, 1), "size": 2, **arguments})


def test_zeros_between_pixels():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.equal(ops.insert_zeros(x, (1, 3)), torch.tensor([[1.0, 0, 0, 2], [3, 0, 0, 4]]))
    assert torch.equal(ops.insert_zeros(x, 1), x)
    assert torch.equal(ops.insert_zeros(torch.ones(2, 3, 1, 1), 5), torch.ones(2, 3, 1, 1))
    with pytest.raises(ValueError, match="insert_zeros: stride must be a whole number of at least 1, got 0"):
        ops.insert_zeros(x, 0)
    with pytest.raises(ValueError, match=r"insert_zeros: x must have no side of length 0, got \(2, 0\)"):
        ops.insert_zeros(x[:, :0], 2)
    with pytest.raises(ValueError, match=r"insert_zeros: x must have shape \(\.\.\., H, W\), got \(2,\)"):
        ops.insert_zeros(x[0], 2)
