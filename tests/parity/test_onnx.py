"""A runtime of ONNX must find what the eager functions find."""

import pytest
import torch
from required import required

from cvlab import ops

required("onnxscript")
runtime = required("onnxruntime")


class Detector(torch.nn.Module):
    """Does nothing but suppress."""

    def __init__(self, threshold):
        super().__init__()
        self.threshold = threshold

    def forward(self, boxes, scores, classes):
        return ops.nms(boxes, scores, self.threshold), ops.batched_nms(boxes, scores, classes, self.threshold)


def _clusters(count, seed, dtype=torch.float32):
    """Boxes with whole-number corners: exact in every type, with IoUs of exactly the threshold, and equal scores."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 4, (count, 2), generator=generator) * 20 + torch.randint(
        0, 6, (count, 2), generator=generator
    )
    boxes = torch.cat((corner, corner + torch.randint(9, 14, (count, 2), generator=generator)), 1)
    scores = torch.randint(-20, 20, (count,), generator=generator) / 8
    return boxes.to(dtype), scores.to(dtype), torch.randint(-2, 3, (count,), generator=generator)


def _session(detector, inputs):
    names = ("boxes", "scores", "classes")
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs)
    program = torch.onnx.export(
        detector.eval(),
        inputs,
        dynamo=True,
        custom_translation_table=ops.onnx_translations(),
        dynamic_shapes=shapes,
        input_names=names,
        verbose=False,
    )
    nodes = [node.op_type for node in program.model_proto.graph.node]
    assert nodes.count("NonMaxSuppression") == 2
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    return lambda inputs: session.run(None, dict(zip(names, (t.numpy() for t in inputs), strict=True)))


@pytest.mark.parametrize(  # 5/16 is the same number in both precisions, 0.3 is not
    ("dtype", "threshold"), [(torch.float16, 0.3), (torch.float32, 0.3), (torch.float64, 0.3125)]
)
def test_exported_nms_is_eager_nms(dtype, threshold):
    detector = Detector(threshold)
    run = _session(detector, _clusters(30, 0, dtype))
    for count in (30, 77, 400):
        boxes, scores, classes = _clusters(count, count, dtype)
        for ids in (classes, classes * 10**9 + 7, classes * 2**61):
            expected = detector(boxes, scores, ids)
            assert len(expected[0]) < len(expected[1]) < count
            for got, wanted in zip(run((boxes, scores, ids)), expected, strict=True):
                assert got.tolist() == wanted.tolist()
