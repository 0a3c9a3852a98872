"""Core ML packages: executed in float32 they are the network, in float16 nearly so, and compressed ones are smaller."""

from __future__ import annotations

import importlib.util
import logging

import pytest
import torch
from torch import nn
from torch.nn import functional

from cvlab._check import InputError
from cvlab.data import digits
from cvlab.models import digit_net, fast_style, ssd_small
from cvlab.models.fast_style import FastStyleNet
from cvlab.quant.targets import coreml
from cvlab.quant.targets.mil_interpreter import OPERATIONS, count_operations, run_mil

if coreml.installed():  # without the messages of its import
    coreml.import_coremltools("test_coreml")
ct = pytest.importorskip("coremltools", reason="coremltools is not installed")

COUNT = 200
HALF, SINGLE = torch.float16, torch.float32


@pytest.fixture(scope="module")
def pictures():
    images, labels = digits(COUNT, "test")
    return images.float() / 255, labels


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coreml")
    net, example = digit_net("digit_net"), torch.zeros(1, 3, 32, 32)
    made = {
        precision: coreml.export_coreml(net, folder / f"{precision}.mlpackage", example, precision=precision)
        for precision in coreml.PRECISIONS
    }
    for bits in coreml.BITS:
        made[bits] = coreml.compress_coreml(made["float16"], folder / f"{bits}.mlpackage", bits=bits)
    return made


@pytest.fixture(scope="module")
def expected(pictures):
    with torch.no_grad():
        return digit_net("digit_net")(pictures[0])


def run(path, images, **options):
    (result,) = run_mil(path, images, **options).values()
    return result


def read(path):
    """Read a package with nothing but coremltools."""
    from coremltools.converters.mil.frontend.milproto.load import load

    package = ct.models.MLModel(str(path), skip_model_load=True)
    spec = package.get_spec()
    return load(spec, spec.specificationVersion, file_weights_dir=package.weights_dir).functions["main"]


def test_in_float32_the_package_is_the_network(packages, pictures, expected):
    result = run(packages["float32"], pictures[0], dtype=SINGLE)
    assert result.dtype == SINGLE
    assert (result - expected).abs().max() < 1e-4


def test_in_float16_the_answers_are_the_same(packages, pictures, expected):
    result = run(packages["float16"], pictures[0])
    assert result.dtype == HALF
    error = (result.float() - expected).abs().max()
    assert 1e-4 < error < 0.1
    answers, labels = result.argmax(1), pictures[1]
    assert (answers == expected.argmax(1)).float().mean() >= 0.99
    right, wanted = ((a == labels).float().mean() for a in (answers, expected.argmax(1)))
    assert abs(right - wanted) <= 0.01


@pytest.mark.parametrize(("bits", "agree", "error"), [(8, 0.99, 0.5), (6, 0.97, 2.0), (4, 0.95, 8.0)])
def test_compressed_weights_keep_the_answers(packages, pictures, expected, bits, agree, error):
    result = run(packages[bits], pictures[0]).float()
    assert (result.argmax(1) == expected.argmax(1)).float().mean() >= agree
    assert (result - expected).abs().max() < error


def test_fewer_bits_make_larger_errors_and_smaller_packages(packages, pictures, expected):
    order = ["float32", "float16", 8, 6, 4]
    sizes = [coreml.package_size(packages[name]) for name in order]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[4] < 0.4 * sizes[1]
    some = pictures[0][:20]
    types = [SINGLE, HALF, HALF, HALF, HALF]
    results = [run(packages[name], some, dtype=t).float() for name, t in zip(order, types, strict=True)]
    errors = [(r - expected[:20]).abs().mean().item() for r in results]
    assert errors == sorted(errors)


def test_sums_in_float16_are_worse_than_in_float32(packages, pictures, expected):
    some = pictures[0][:8]
    errors = [
        (run(packages["float16"], some, accumulate=t).float() - expected[:8]).abs().mean() for t in (SINGLE, HALF)
    ]
    assert 1.5 * errors[0] < errors[1] < 0.1
    brain = run(packages["float16"], some, dtype=torch.bfloat16)
    assert brain.dtype == torch.bfloat16
    assert (brain.float() - expected[:8]).abs().mean() > 3 * errors[0]


def test_normalisation_is_gone_and_what_is_left_can_be_counted(packages):
    counts = count_operations(packages["float16"])
    assert (counts["conv"], counts["clip"], counts["linear"]) == (15, 15, 1)
    assert "batch_norm" not in counts
    assert count_operations(packages[8])["constexpr_affine_dequantize"] > 9
    assert count_operations(packages[4])["constexpr_lut_to_dense"] > 9


@pytest.mark.parametrize("bits", coreml.BITS)
def test_weights_are_unpacked_as_coremltools_unpacks_them(packages, bits):
    unpacked = 0
    for operation in read(packages[bits]).operations:
        if operation.op_type.startswith("constexpr"):
            arguments = {name: torch.tensor(v.val, dtype=SINGLE) for name, v in operation.inputs.items()}
            for name in {"indices", "quantized_data", "shape", "axis"} & set(arguments):
                arguments[name] = arguments[name].long()
            arguments["axis"] = int(arguments.get("axis", 0))
            result = OPERATIONS[operation.op_type](arguments)
            theirs = torch.from_numpy(operation.materialized_val_inference())
            assert torch.equal(result.to(HALF), theirs)
            assert bits == 8 or len(result.unique()) <= 2**bits
            unpacked += 1
    assert unpacked > 9


def test_packages_are_read_back_as_they_were_written(packages, pictures, tmp_path):
    moved = packages["float16"].rename(tmp_path / "moved.mlpackage")
    try:
        first, again = (run(moved, pictures[0][:3]) for _ in range(2))
    finally:
        moved.rename(packages["float16"])
    assert torch.equal(first, again)
    assert torch.equal(first, run(packages["float16"], pictures[0][:3]))
    assert run(packages["float16"], pictures[0][:0]).shape == (0, 10)


def test_a_detector_gives_all_its_raw_maps(tmp_path):
    model = ssd_small(weights="ssd_small").eval()
    images = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.network(images)
    for precision, dtype, bound in (("float32", SINGLE, 1e-4), ("float16", HALF, 0.06)):
        path = tmp_path / f"{precision}.mlpackage"
        options = {"precision": precision, "outputs": ["logits", "offsets"], "method": "network"}
        coreml.export_coreml(model, path, images[:1], **options)
        results = run_mil(path, images, dtype=dtype)
        assert list(results) == ["logits", "offsets"]
        for result, wanted in zip(results.values(), expected, strict=True):
            assert result.shape == wanted.shape
            assert (result.float() - wanted).abs().max() < bound


def test_a_network_of_style_paints_as_it_did(tmp_path):
    model = fast_style("fast_style_mosaic")
    images = torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    path = coreml.export_coreml(model, tmp_path / "style.mlpackage", images, outputs=["painted"])
    with torch.no_grad():
        expected = model(images)
    painted = run_mil(path, images)["painted"]
    assert expected.std() > 0.1
    assert (painted.float() - expected).abs().max() < 0.02
    with pytest.raises(InputError, match="run_mil: the program takes 2 images at once, got 3"):
        run_mil(path, torch.zeros(3, 3, 20, 30))


def test_a_full_picture_needs_no_slice_or_alias(tmp_path):
    model = FastStyleNet(4, 1).eval()
    path = coreml.export_coreml(model, tmp_path / "style.mlpackage", torch.zeros(1, 3, 16, 16), precision="float32")
    images = torch.rand(2, 3, 16, 16)
    assert "slice_by_index" not in count_operations(path)
    assert torch.allclose(run(path, images, dtype=SINGLE), model(images).detach(), atol=1e-5)


# One small program for each type of operation, against torch.

X = torch.rand(2, 4, 6, 8, generator=torch.Generator().manual_seed(1)) * 4 - 2
W = torch.rand(6, 4, 3, 3, generator=torch.Generator().manual_seed(2)) - 0.5
B = torch.rand(6, generator=torch.Generator().manual_seed(3))
M = torch.rand(5, 8, generator=torch.Generator().manual_seed(4)) - 0.5
C = torch.tensor([0.5, 1.0, 1.5, 2.0])
D = torch.rand(4, 1, 1, generator=torch.Generator().manual_seed(5)) + 0.5


def n(tensor):
    return tensor.numpy()


def pool(mb, x, kind="avg_pool", **options):
    return getattr(mb, kind)(**{"x": x, "kernel_sizes": [3, 2], "strides": [2, 2], "pad_type": "valid", **options})


CUSTOM = {"pad_type": "custom", "pad": [1, 1, 1, 1]}

CASES = {
    "add": (lambda mb, x: mb.add(x=x, y=n(D)), lambda x: x + D),
    "sub": (lambda mb, x: mb.sub(x=x, y=0.3), lambda x: x - 0.3),
    "mul": (lambda mb, x: mb.mul(x=x, y=x), lambda x: x * x),
    "real_div": (lambda mb, x: mb.real_div(x=x, y=n(D)), lambda x: x / D),
    "maximum": (lambda mb, x: mb.maximum(x=x, y=n(D)), lambda x: torch.maximum(x, D)),
    "minimum": (lambda mb, x: mb.minimum(x=x, y=0.5), lambda x: x.clamp(max=0.5)),
    "relu": (lambda mb, x: mb.relu(x=x), torch.relu),
    "relu6": (lambda mb, x: mb.relu6(x=mb.mul(x=x, y=5.0)), lambda x: functional.relu6(5 * x)),
    "clip": (lambda mb, x: mb.clip(x=x, alpha=-0.5, beta=1.0), lambda x: x.clamp(-0.5, 1.0)),
    "sigmoid": (lambda mb, x: mb.sigmoid(x=x), torch.sigmoid),
    "tanh": (lambda mb, x: mb.tanh(x=x), torch.tanh),
    "silu": (lambda mb, x: mb.silu(x=x), functional.silu),
    "exp": (lambda mb, x: mb.exp(x=x), torch.exp),
    "sqrt": (lambda mb, x: mb.sqrt(x=mb.exp(x=x)), lambda x: x.exp().sqrt()),
    "rsqrt": (lambda mb, x: mb.rsqrt(x=mb.exp(x=x), epsilon=0.1), lambda x: (x.exp() + 0.1).rsqrt()),
    "softmax": (lambda mb, x: mb.softmax(x=x, axis=1), lambda x: x.softmax(1)),
    "softmax_last": (lambda mb, x: mb.softmax(x=x), lambda x: x.softmax(-1)),
    "cast": (lambda mb, x: mb.cast(x=mb.cast(x=x, dtype="int32"), dtype="fp32"), torch.trunc),
    "cast_bool": (
        lambda mb, x: mb.cast(x=mb.cast(x=mb.relu(x=x), dtype="bool"), dtype="fp32"),
        lambda x: 1.0 * (x > 0),
    ),
    "identity": (lambda mb, x: mb.identity(x=x), lambda x: x),
    "conv": (
        lambda mb, x: mb.conv(x=x, weight=n(W), bias=n(B), strides=[2, 1], **CUSTOM),
        lambda x: functional.conv2d(x, W, B, (2, 1), 1),
    ),
    "conv_uneven": (
        lambda mb, x: mb.conv(x=x, weight=n(W), pad_type="custom", pad=[0, 2, 1, 3]),
        lambda x: functional.conv2d(functional.pad(x, (1, 3, 0, 2)), W),
    ),
    "conv_same": (
        lambda mb, x: mb.conv(x=x, weight=n(W), strides=[2, 2], pad_type="same"),
        lambda x: functional.conv2d(functional.pad(x, (0, 1, 0, 1)), W, None, 2),
    ),
    "conv_same_lower": (
        lambda mb, x: mb.conv(x=x, weight=n(W), strides=[2, 2], pad_type="same_lower"),
        lambda x: functional.conv2d(functional.pad(x, (1, 0, 1, 0)), W, None, 2),
    ),
    "conv_groups": (
        lambda mb, x: mb.conv(x=x, weight=n(W[:, :2]), bias=n(B), groups=2, dilations=[2, 1], pad_type="valid"),
        lambda x: functional.conv2d(x, W[:, :2], B, 1, 0, (2, 1), 2),
    ),
    "linear": (
        lambda mb, x: mb.linear(x=mb.reshape(x=x, shape=[48, 8]), weight=n(M), bias=n(B[:5])),
        lambda x: functional.linear(x.reshape(48, 8), M, B[:5]),
    ),
    "matmul": (lambda mb, x: mb.matmul(x=x, y=n(M), transpose_y=True), lambda x: x @ M.T),
    "matmul_transposed": (lambda mb, x: mb.matmul(x=x, y=x, transpose_x=True), lambda x: x.mT @ x),
    "batch_norm": (
        lambda mb, x: mb.batch_norm(x=x, mean=n(C), variance=n(2 * C), gamma=n(C + 1), beta=n(-C), epsilon=0.01),
        lambda x: functional.batch_norm(x, C, 2 * C, C + 1, -C, eps=0.01),
    ),
    "instance_norm": (
        lambda mb, x: mb.instance_norm(x=x, gamma=n(C), beta=n(-C), epsilon=0.01),
        lambda x: functional.instance_norm(x, weight=C, bias=-C, eps=0.01),
    ),
    "avg_pool": (pool, lambda x: functional.avg_pool2d(x, (3, 2), 2)),
    "avg_pool_border": (
        lambda mb, x: pool(mb, x, **CUSTOM, exclude_padding_from_average=True),
        lambda x: functional.avg_pool2d(x, (3, 2), 2, 1, count_include_pad=False),
    ),
    "avg_pool_zeros": (lambda mb, x: pool(mb, x, **CUSTOM), lambda x: functional.avg_pool2d(x, (3, 2), 2, 1)),
    "avg_pool_uneven": (
        lambda mb, x: pool(mb, x, pad_type="custom", pad=[1, 0, 0, 2]),
        lambda x: functional.avg_pool2d(functional.pad(x, (0, 2, 1, 0)), (3, 2), 2),
    ),
    "avg_pool_ceil": (
        lambda mb, x: pool(mb, x, ceil_mode=True),
        lambda x: functional.avg_pool2d(x, (3, 2), 2, ceil_mode=True),
    ),
    "max_pool": (lambda mb, x: pool(mb, x, "max_pool"), lambda x: functional.max_pool2d(x, (3, 2), 2)),
    "max_pool_border": (
        lambda mb, x: pool(mb, x, "max_pool", **CUSTOM),
        lambda x: functional.max_pool2d(x, (3, 2), 2, 1),
    ),
    "reduce_mean": (lambda mb, x: mb.reduce_mean(x=x, axes=[2, 3]), lambda x: x.mean((2, 3))),
    "reduce_sum": (lambda mb, x: mb.reduce_sum(x=x, axes=[1], keep_dims=True), lambda x: x.sum(1, keepdim=True)),
    "reduce_max": (lambda mb, x: mb.reduce_max(x=x, axes=[-1]), lambda x: x.amax(-1)),
    "concat": (lambda mb, x: mb.concat(values=[x, mb.exp(x=x)], axis=-2), lambda x: torch.cat([x, x.exp()], 2)),
    "stack": (lambda mb, x: mb.stack(values=[x, mb.exp(x=x)], axis=1), lambda x: torch.stack([x, x.exp()], 1)),
    "split": (
        lambda mb, x: mb.sub(**dict(zip("xy", mb.split(x=x, num_splits=2, axis=1), strict=True))),
        lambda x: x[:, :2] - x[:, 2:],
    ),
    "split_sizes": (lambda mb, x: mb.split(x=x, split_sizes=[1, 5], axis=-2)[1], lambda x: x[:, :, 1:]),
    "reshape": (lambda mb, x: mb.reshape(x=x, shape=[2, -1, 3]), lambda x: x.reshape(2, -1, 3)),
    "transpose": (lambda mb, x: mb.transpose(x=x, perm=[0, 2, 3, 1]), lambda x: x.permute(0, 2, 3, 1)),
    "expand_dims": (lambda mb, x: mb.expand_dims(x=x, axes=[1]), lambda x: x[:, None]),
    "squeeze": (
        lambda mb, x: mb.squeeze(x=mb.reduce_max(x=x, axes=[1], keep_dims=True), axes=[1]),
        lambda x: x.amax(1),
    ),
    "slice_by_index": (
        lambda mb, x: mb.slice_by_index(
            x=x,
            begin=[0, 1, -4, 7],
            end=[0, 3, -1, 0],
            stride=[1, 1, 2, -2],
            end_mask=[True, False, False, True],
            begin_mask=[True, False, False, False],
        ),
        lambda x: x[:, 1:3, -4:-1:2].flip(3)[..., ::2],
    ),
    "slice_squeezed": (
        lambda mb, x: mb.slice_by_index(
            x=x,
            begin=[0, -1, 0, 2],
            end=[2, 0, 5, 8],
            squeeze_mask=[False, True, False, False],
        ),
        lambda x: x[:, -1, :5, 2:],
    ),
    "pad": (
        lambda mb, x: mb.pad(x=x, pad=[1, 0, 2, 3], mode="constant", constant_val=0.5),
        lambda x: functional.pad(x, (2, 3, 1, 0), value=0.5),
    ),
    "pad_reflect": (
        lambda mb, x: mb.pad(x=x, pad=[0, 0, 0, 0, 1, 2, 3, 4], mode="reflect"),
        lambda x: functional.pad(x, (3, 4, 1, 2), mode="reflect"),
    ),
    "pad_replicate": (
        lambda mb, x: mb.pad(x=x, pad=[1, 2, 3, 4], mode="replicate"),
        lambda x: functional.pad(x, (3, 4, 1, 2), mode="replicate"),
    ),
    "upsample_nearest_neighbor": (
        lambda mb, x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2.0, scale_factor_width=3.0),
        lambda x: functional.interpolate(x, scale_factor=(2.0, 3.0)),
    ),
    "upsample_bilinear": (
        lambda mb, x: mb.upsample_bilinear(x=x, scale_factor_height=2.0, scale_factor_width=3.0, align_corners=False),
        lambda x: functional.interpolate(x, scale_factor=(2.0, 3.0), mode="bilinear", align_corners=False),
    ),
}


def written(build, path, *shapes):
    """Write a program of operations, as they are, without the converter's changes."""
    from coremltools.converters.mil import Builder as mb

    with coreml.quiet():
        specs = [mb.TensorSpec(shape=shape) for shape in shapes]
        body = (lambda x: build(mb, x)) if len(shapes) == 1 else (lambda x, y: build(mb, x, y))
        program = mb.program(input_specs=specs, opset_version=ct.target.iOS17)(body)
        options = {"convert_to": "mlprogram", "compute_precision": ct.precision.FLOAT32, "skip_model_load": True}
        empty = ct.PassPipeline.EMPTY
        target = ct.target.iOS17
        package = ct.convert(program, minimum_deployment_target=target, pass_pipeline=empty, **options)
        package.save(str(path))
    return path


def all_cases(mb, x):
    return tuple(mb.identity(x=build(mb, x), name=f"is_{name}") for name, (build, _) in CASES.items())


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    return written(lambda mb, x: all_cases(mb, x), tmp_path_factory.mktemp("mil") / "all.mlpackage", X.shape)


@pytest.fixture(scope="module")
def single(operations):
    return run_mil(operations, X, dtype=SINGLE)


@pytest.fixture(scope="module")
def half(operations):
    return run_mil(operations, X, dtype=HALF)


@pytest.fixture(scope="module")
def summed(operations):
    return run_mil(operations, X, dtype=SINGLE, accumulate=torch.bfloat16)


def test_every_known_operation_is_among_the_cases(operations):
    known = {name for name in OPERATIONS if not name.startswith("constexpr")}
    assert known == set(count_operations(operations))
    assert known <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_operation_does_what_torch_does(single, half, name):
    expected = CASES[name][1](X)
    assert torch.allclose(single[f"is_{name}"], expected, atol=1e-5, rtol=1e-5)
    assert single[f"is_{name}"].shape == expected.shape
    if name in ("reshape", "concat", "exp", "conv", "linear", "softmax", "relu"):
        rounded = CASES[name][1](X.half().float())
        assert half[f"is_{name}"].dtype == HALF
        assert torch.allclose(half[f"is_{name}"].float(), rounded, atol=4e-3, rtol=2e-3)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("conv", "linear", "matmul"))])
def test_sums_of_products_are_rounded_as_they_grow(single, summed, name):
    exact, coarse = single[f"is_{name}"], summed[f"is_{name}"]
    assert coarse.shape == exact.shape
    assert 1e-3 < (coarse - exact).abs().max() < 0.5


def test_a_sum_of_ones_stalls(tmp_path):
    ones = torch.ones(1, 4096)
    path = written(lambda mb, x: mb.linear(x=x, weight=n(ones), name="total"), tmp_path / "a.mlpackage", (1, 4096))
    results = [run(path, ones, dtype=SINGLE, accumulate=t).item() for t in (SINGLE, HALF, torch.bfloat16)]
    assert results == [4096, 2048, 256]
    assert run(path, 32 * ones).isinf().all()  # 131,072 cannot be stored, whatever the sum was made in


def test_what_does_not_fit_is_named(tmp_path):
    path = written(lambda mb, x: mb.gelu(x=x, name="bent"), tmp_path / "a.mlpackage", (1, 4))
    with pytest.raises(
        InputError, match=r"run_mil: operations must be among add, .*; got 'gelu', which computes 'bent'"
    ):
        run_mil(path, torch.zeros(1, 4))
    two = written(lambda mb, x, y: mb.add(x=x, y=y), tmp_path / "b.mlpackage", (1, 4), (1, 4))
    with pytest.raises(InputError, match=r"run_mil: b.mlpackage must have one input, got x, y"):
        run_mil(two, torch.zeros(1, 4))
    deep = written(lambda mb, x: pool(mb, x, kernel_sizes=[2], strides=[2]), tmp_path / "c.mlpackage", (1, 2, 8))
    with pytest.raises(InputError, match=r"run_mil: pooling must have maps \(B, C, H, W\), got shape \(1, 2, 8\)"):
        run_mil(deep, torch.zeros(1, 2, 8))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda mb, x: mb.concat(values=[x, x], axis=1, interleave=True), "concat .* got interleave"),
        (
            lambda mb, x: mb.pad(x=x, pad=[0, 0, 1, 1, 0, 0, 0, 0], mode="reflect"),
            "pad 'reflect' .* last two dimensions",
        ),
        (
            lambda mb, x: pool(mb, x, pad_type="custom", pad=[1, 0, 0, 0], exclude_padding_from_average=True),
            "avg_pool that leaves out its border must have an even one",
        ),
    ],
)
def test_options_that_are_not_known_are_refused(tmp_path, build, message):
    path = written(build, tmp_path / "a.mlpackage", X.shape)
    with pytest.raises(InputError, match=f"run_mil: {message}"):
        run_mil(path, X)


def test_images_and_types_that_do_not_fit_are_refused(packages):
    path = packages["float16"]
    for images, options, message in (
        (torch.zeros(1, 3, 31, 32), {}, r"images must have shape \(N, 3, 32, 32\)"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), {}, "images must be floating point"),
        (torch.zeros(1, 3, 32, 32), {"dtype": torch.int8}, "dtype must be one of torch.float16"),
        (torch.zeros(1, 3, 32, 32), {"accumulate": torch.float64}, "accumulate must be one of"),
    ):
        with pytest.raises(InputError, match=f"run_mil: {message}"):
            run_mil(path, images, **options)


def test_a_constant_too_large_for_float16_keeps_its_operation_in_float32(tmp_path):
    model = nn.Linear(4, 2).eval()
    nn.init.constant_(model.weight, 1e5)
    path = coreml.export_coreml(model, tmp_path / "a.mlpackage", torch.zeros(1, 4))
    weights = [o.weight.val for o in read(path).operations if o.op_type == "linear"]
    assert [w.dtype for w in weights] == ["float32"]
    assert run(path, torch.ones(1, 4)).isinf().all()  # all is stored in float16 here


def bad_weights(value):
    model = nn.Sequential(nn.Linear(4, 2)).eval()
    with torch.no_grad():
        model[0].weight[1, 2] = value
    return model


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (nn.Linear(4, 2), {}, "the model is in training mode"),
        (bad_weights(torch.nan), {}, r"0.weight\[1, 2\] is not finite: nan"),
        (bad_weights(torch.inf), {}, r"0.weight\[1, 2\] is not finite: inf"),
        (nn.Linear(4, 2).eval(), {"precision": "int8"}, "precision must be one of float16, float32, got 'int8'"),
        (nn.Linear(4, 2).eval(), {"path": "a.onnx"}, "the name of a package must end in .mlpackage, got 'a.onnx'"),
        (nn.Linear(4, 2).eval(), {"example": torch.zeros(1, 4).half()}, "example must be torch.float32"),
        (nn.Linear(4, 2).eval(), {"outputs": ["a", "b"]}, "outputs must be 1 different names"),
        (nn.Linear(4, 2).eval(), {"outputs": "a"}, "outputs must be 1 different names"),
        (nn.Linear(4, 2).eval(), {"method": "network"}, "method must be one that Linear has, got 'network'"),
    ],
)
def test_bad_networks_are_refused(tmp_path, model, options, message):
    arguments = {"path": "a.mlpackage", "example": torch.zeros(1, 4), **options}
    arguments["path"] = tmp_path / arguments["path"]
    with pytest.raises(InputError, match=f"export_coreml: {message}"):
        coreml.export_coreml(model, **arguments)
    assert not arguments["path"].exists()


def test_what_is_no_network_or_tensor_is_refused(tmp_path):
    path = tmp_path / "a.mlpackage"
    with pytest.raises(TypeError, match=r"export_coreml: model must be a torch.nn.Module, got function"):
        coreml.export_coreml(lambda x: x, path, torch.zeros(1))
    with pytest.raises(TypeError, match=r"export_coreml: example must be a torch.Tensor, got list"):
        coreml.export_coreml(nn.Identity().eval(), path, [0.0])


@pytest.mark.parametrize("bits", [0, 5, 16, "8"])
def test_other_numbers_of_bits_are_refused(tmp_path, bits):
    with pytest.raises(InputError, match=f"compress_coreml: bits must be one of 8, 6, 4, got {bits!r}"):
        coreml.compress_coreml(tmp_path / "a.mlpackage", tmp_path / "b.mlpackage", bits=bits)


def test_missing_and_damaged_packages_are_refused(packages, tmp_path):
    gone, damaged = tmp_path / "gone.mlpackage", tmp_path / "damaged.mlpackage"
    damaged.mkdir()
    (damaged / "Manifest.json").write_text("{}")
    for call, op in (
        (lambda path: coreml.compress_coreml(path, tmp_path / "b.mlpackage", bits=8), "compress_coreml"),
        (lambda path: run_mil(path, torch.zeros(1, 4)), "run_mil"),
        (count_operations, "count_operations"),
    ):
        with pytest.raises(InputError, match=f"{op}: gone.mlpackage must be a package, a folder that is there"):
            call(gone)
        with pytest.raises(InputError, match=f"{op}: damaged.mlpackage must be a package of Core ML"):
            call(damaged)
    with pytest.raises(InputError, match=r"package_size: gone.mlpackage must be a package"):
        coreml.package_size(gone)
    with pytest.raises(InputError, match="compress_coreml: out must be another place"):
        coreml.compress_coreml(packages["float16"], packages["float16"], bits=8)
    with pytest.raises(InputError, match=r"compress_coreml: the name of a package must end in .mlpackage"):
        coreml.compress_coreml(packages["float16"], tmp_path / "b", bits=8)


def test_a_missing_coremltools_is_named_with_what_to_install(monkeypatch, packages, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "coremltools" else find(name))
    for call, op in (
        (lambda: coreml.export_coreml(nn.Identity().eval(), tmp_path / "a.mlpackage", torch.zeros(1)), "export_coreml"),
        (lambda: coreml.compress_coreml(packages["float16"], tmp_path / "a.mlpackage", bits=8), "compress_coreml"),
        (lambda: run_mil(packages["float16"], torch.zeros(1, 3, 32, 32)), "run_mil"),
    ):
        with pytest.raises(ImportError, match=f'{op} needs coremltools: install .* extra "coreml"'):
            call()


def test_only_noise_is_kept_off_the_screen(capfd, caplog, tmp_path):
    from tqdm import tqdm

    coreml.export_coreml(nn.Linear(4, 2).eval(), tmp_path / "a.mlpackage", torch.zeros(1, 4))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    with coreml.quiet(), caplog.at_level(logging.WARNING, "coremltools"):
        logger = logging.getLogger("coremltools")
        logger.warning("Torch version 9 has not been tested with coremltools.")
        logger.warning("Saturated weights")
    assert [r.getMessage() for r in caplog.records if r.name == "coremltools"] == ["Saturated weights"]
    list(tqdm([1, 2]))
    assert "2/2" in capfd.readouterr().err
