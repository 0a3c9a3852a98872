"""Non-maximum suppression by hand, its ties and edges, and its export."""

import pytest
import torch

from cvlab import ops
from cvlab.ops.nms import _suppress_few

NMS = [ops.nms, ops.nms_reference]


@pytest.mark.parametrize("nms", NMS)
def test_by_hand(nms):
    # IoU of neighbours: 8 / 12 = 2/3; of the first and third: 6 / 14 = 3/7.
    boxes = torch.tensor([[0.0, 0, 10, 1], [2.0, 0, 12, 1], [4.0, 0, 14, 1]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert nms(boxes, scores, 0.7).tolist() == [0, 1, 2]
    assert nms(boxes, scores, 0.5).tolist() == [0, 2]  # what was dropped drops nothing
    assert nms(boxes, scores, 0.4).tolist() == [0]


@pytest.mark.parametrize(  # the reference is slow
    ("nms", "copies"), [(ops.nms, 1), (ops.nms, 60), (ops.nms, 600), (ops.nms_reference, 1), (ops.nms_reference, 60)]
)
def test_exactly_the_threshold_stays(nms, copies):
    # IoU 1/2 exactly. Copies far apart take the same case through the path for few boxes, one head, and several heads.
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 5]]).repeat(copies, 1)
    boxes += 100 * torch.arange(copies).repeat_interleave(2)[:, None]
    scores = torch.arange(2 * copies, 0, -1).float()
    assert len(nms(boxes, scores, 0.5)) == 2 * copies
    assert len(nms(boxes, scores, 0.499)) == copies


@pytest.mark.parametrize("nms", NMS)
@pytest.mark.parametrize("count", [3, 200, 2000])
def test_ties_go_to_the_lower_index(nms, count):
    boxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(count, 1)
    assert nms(boxes, torch.ones(count), 0.5).tolist() == [0]
    apart = boxes + 20 * torch.arange(count)[:, None]
    assert nms(apart, torch.ones(count), 0.5).tolist() == list(range(count))


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("nms", NMS)
def test_none_and_one(nms, count):
    kept = nms(torch.zeros(count, 4), torch.zeros(count), 0.5)
    assert kept.tolist() == list(range(count))
    assert kept.dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("count", [10, 300])
def test_every_precision(dtype, count):
    generator = torch.Generator().manual_seed(0)
    corner = torch.randint(0, 30, (count, 2), generator=generator)
    boxes = torch.cat((corner, corner + torch.randint(1, 20, (count, 2), generator=generator)), 1)  # exact in all
    scores = torch.randperm(count, generator=generator)
    kept = ops.nms(boxes.to(dtype), scores.to(dtype) / 512, 0.4142)
    order = (scores.to(dtype) / 512).double()
    assert kept.tolist() == ops.nms_reference(boxes.double(), order, 0.4142).tolist()


def test_empty_boxes_neither_suppress_nor_go():
    empty = torch.tensor([[5.0, 5, 5, 5]]).repeat(200, 1)
    assert len(ops.nms(empty, torch.ones(200), 0.0)) == 200


def test_requires_grad_is_harmless():
    boxes = torch.tensor([[0.0, 0, 4, 4]], requires_grad=True)
    assert not ops.nms(boxes, torch.tensor([0.5], requires_grad=True), 0.5).requires_grad


def test_few_boxes_leave_doubtful_cases_to_tensors():
    boxes = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]]
    assert _suppress_few(boxes, [0.9, 0.8], 0.5) is None
    assert _suppress_few(boxes, [0.9, 0.8], 0.4) == [0]


def test_batched_keeps_classes_apart():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 10], [0.0, 0, 10, 9]])
    scores = torch.tensor([0.7, 0.9, 0.8])
    assert ops.batched_nms(boxes, scores, torch.tensor([1, 1, 1]), 0.5).tolist() == [1]
    assert ops.batched_nms(boxes, scores, torch.tensor([1, 1, 2]), 0.5).tolist() == [1, 2]
    assert ops.batched_nms(boxes, scores, torch.tensor([-7, 10**9, 3]), 0.5).tolist() == [1, 2, 0]


@pytest.mark.parametrize("sizes", [[1], [1, 500, 3], [40] * 10, [900, 2, 2, 100]])
def test_batched_is_nms_for_each_class(sizes):
    generator = torch.Generator().manual_seed(1)
    count = sum(sizes)
    corner = torch.rand(count, 2, generator=generator) * 60
    boxes = torch.cat((corner, corner + 5 + 25 * torch.rand(count, 2, generator=generator)), 1)
    scores = torch.randperm(count, generator=generator) / count
    classes = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    classes = classes[torch.randperm(count, generator=generator)]
    expected = []
    for c in range(len(sizes)):
        own = (classes == c).nonzero()[:, 0]
        expected.append(own[ops.nms(boxes[own], scores[own], 0.5)])
    expected = torch.cat(expected)
    expected = expected[scores[expected].argsort(descending=True)]
    assert torch.equal(ops.batched_nms(boxes, scores, classes, 0.5), expected)


def test_soft_nms_linear_by_hand():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 5], [0.0, 0, 10, 4]])
    # The first is chosen. IoU 0.5 and 0.4 with it: 0.8 * 0.5 = 0.4 and 0.9 * 0.6 = 0.54, so the third comes next; its
    # IoU with the second is 40 / 50: 0.4 * 0.2 = 0.08.
    kept, scores = ops.soft_nms(boxes, torch.tensor([0.95, 0.8, 0.9]), iou_threshold=0.3)
    assert kept.tolist() == [0, 2, 1]
    assert scores.tolist() == pytest.approx([0.95, 0.54, 0.08], abs=1e-6)
    kept, _ = ops.soft_nms(boxes, torch.tensor([0.95, 0.8, 0.9]), iou_threshold=0.3, score_threshold=0.1)
    assert kept.tolist() == [0, 2]


def test_soft_nms_gaussian_by_hand():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 5]])
    _, scores = ops.soft_nms(boxes, torch.tensor([0.9, 0.8]), method="gaussian", sigma=0.5)
    assert scores.tolist() == pytest.approx([0.9, 0.8 * 0.6065307], abs=1e-6)  # exp(-0.25 / 0.5)


def test_soft_nms_of_nothing():
    kept, scores = ops.soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert kept.shape == scores.shape == (0,)


def _clusters(count, seed):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 4, (count, 2), generator=generator) * 20 + torch.rand(count, 2, generator=generator) * 4
    boxes = torch.cat((corner, corner + 12), 1)
    return boxes, torch.rand(count, generator=generator), torch.randint(0, 3, (count,), generator=generator)


class Detector(torch.nn.Module):
    """Does nothing but suppress."""

    def forward(self, boxes, scores, classes):
        return ops.nms(boxes, scores, 0.5), ops.batched_nms(boxes, scores, classes, 0.5)


def test_exports_and_compiles_as_one_operator():
    inputs = _clusters(50, 3)
    program = torch.export.export(Detector(), inputs)
    targets = [node.target for node in program.graph.nodes]
    assert targets.count(torch.ops.cvlab.nms.default) == targets.count(torch.ops.cvlab.batched_nms.default) == 1
    for got, expected in zip(program.module()(*inputs), Detector()(*inputs), strict=True):
        assert torch.equal(got, expected)
    compiled = torch.compile(Detector(), fullgraph=True, backend="aot_eager")
    for got, expected in zip(compiled(*inputs), Detector()(*inputs), strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0, -3, 2**40, -(2**62)])
def test_compiled_batched_nms_takes_any_classes(dtype, offset):
    # Adding the class times the extent to the coordinates would round them all to one place.
    boxes, scores, classes = _clusters(60, 5)
    boxes, scores, classes = boxes.to(dtype), scores.to(dtype), classes * 10**9 + offset
    expected = ops.batched_nms(boxes, scores, classes, 0.5)
    assert len(expected) < 60
    exact = torch.cat([i[ops.nms_reference(boxes[i], scores[i], 0.5)] for i in _members(classes)])
    assert set(expected.tolist()) == set(exact.tolist())
    compiled = torch.compile(ops.batched_nms, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(boxes, scores, classes, 0.5), expected)


def test_exports_one_after_the_other():
    class Twice(torch.nn.Module):
        def forward(self, boxes, scores, classes):
            kept = ops.nms(boxes, scores, 0.9)
            return ops.batched_nms(boxes[kept], scores[kept], classes[kept], 0.5)

    inputs = _clusters(50, 6)
    assert torch.equal(torch.export.export(Twice(), inputs).module()(*inputs), Twice()(*inputs))


def _members(classes):
    return [(classes == c).nonzero()[:, 0] for c in classes.unique()]


def test_operator_is_well_formed():
    boxes, scores, classes = _clusters(20, 4)
    torch.library.opcheck(torch.ops.cvlab.nms.default, (boxes, scores, 0.5))
    torch.library.opcheck(torch.ops.cvlab.batched_nms.default, (boxes, scores, classes, 0.5))
