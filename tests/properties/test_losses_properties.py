"""What must hold for losses of all boxes and logits, tried on what hypothesis makes up."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from cvlab import losses
from cvlab.losses import hard_negative_cross_entropy, mine_hard_negatives, sigmoid_focal_loss, smooth_l1_loss

settings.register_profile("cvlab", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("cvlab")

IOU_LOSSES = [losses.generalized_box_iou_loss, losses.distance_box_iou_loss, losses.complete_box_iou_loss]
iou_losses = pytest.mark.parametrize("loss", IOU_LOSSES, ids=lambda f: f.__name__)
number = st.integers(-80, 80).map(lambda i: i / 8)


@st.composite
def pairs(draw):
    """Two sets of boxes of the same number, with areas."""
    corner = st.tuples(st.integers(-20, 20), st.integers(-20, 20), st.integers(1, 25), st.integers(1, 25))
    rows = draw(st.lists(st.tuples(corner, corner), max_size=8))
    made = torch.tensor([[(x, y, x + w, y + h) for x, y, w, h in pair] for pair in rows], dtype=torch.float64)
    return made.reshape(-1, 2, 4).unbind(1)


@st.composite
def mining(draw):
    """Losses (B, A) with coincidences, and which anchors are positive."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 12)))
    count = shape[0] * shape[1]
    values = draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
    positive = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return torch.tensor(values, dtype=torch.float32).reshape(shape), torch.tensor(positive).reshape(shape)


@iou_losses
@given(pairs())
def test_symmetric_and_in_range(loss, pair):
    a, b = pair
    made = loss(a, b)
    torch.testing.assert_close(made, loss(b, a))
    assert bool((made >= 0).all())
    assert bool((made <= 2).all()) or loss is losses.complete_box_iou_loss


@iou_losses
@given(pairs())
def test_zero_for_the_same_box(loss, pair):
    torch.testing.assert_close(
        loss(pair[0], pair[0]), torch.zeros(len(pair[0]), dtype=torch.float64), atol=1e-6, rtol=0
    )


@iou_losses
@given(pairs(), st.integers(-50, 50), st.sampled_from([0.5, 4.0]))
def test_translation_and_scale_do_not_matter(loss, pair, shift, scale):
    a, b = pair
    torch.testing.assert_close(loss((a + shift) * scale, (b + shift) * scale), loss(a, b), atol=1e-6, rtol=1e-6)


@given(pairs())
def test_each_form_adds_to_the_one_before(pair):
    a, b = pair
    distance, complete = losses.distance_box_iou_loss(a, b), losses.complete_box_iou_loss(a, b)
    assert bool((complete >= distance).all())


@iou_losses
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_iou_losses_is_that_of_the_values(loss, seed):
    """Random corners do not coincide, so there is no kink. The weight in CIoU is a constant for its gradient: fixed."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(6, 2, 2, generator=generator, dtype=torch.float64) * 4
    boxes = torch.cat((corner, corner + 1 + 3 * torch.rand(6, 2, 2, generator=generator, dtype=torch.float64)), -1)
    if loss is losses.complete_box_iou_loss:  # the same shape: ratio and weight are 0, and so are their slopes
        boxes[:, 1, 2:] = boxes[:, 1, :2] + 1.5 * (boxes[:, 0, 2:] - boxes[:, 0, :2])
    a, b = (t.clone().requires_grad_() for t in boxes.unbind(1))
    assert torch.autograd.gradcheck(loss, (a, b), atol=1e-6)


def test_the_gradient_of_the_others_is_that_of_the_values():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 12, 3, generator=generator, dtype=torch.float64).requires_grad_()
    truth = torch.randint(2, values.shape, generator=generator).double()
    labels = torch.tensor([[0, 1, 2] * 4, [0] * 12])
    assert torch.autograd.gradcheck(lambda x: smooth_l1_loss(x, torch.zeros_like(x), 0.7), (values,))
    assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, truth), (values,))
    assert torch.autograd.gradcheck(lambda x: hard_negative_cross_entropy(x, labels, 1.0, 2), (values,))


@given(mining(), st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.integers(0, 5))
def test_no_negative_left_is_harder_than_one_chosen(made, ratio, least):
    values, positive = made
    chosen = mine_hard_negatives(values, positive, ratio, least)
    assert not bool((chosen & positive).any())
    for loss, mine, own in zip(values, chosen, positive, strict=True):
        wanted = max(int(-(-int(own.sum()) * ratio // 1)), least)  # 1.5 wanted are 2: a rank of 1 is below 1.5
        assert int(mine.sum()) == min(wanted, int((~own).sum()))
        left = loss[~mine & ~own]
        if len(left) and mine.any():
            assert loss[mine].min() >= left.max()


@given(st.lists(number, min_size=1, max_size=20), st.sampled_from([0.25, 1.0, 3.0]))
def test_smooth_l1_lies_between_the_absolute_value_and_half_a_beta_less(values, beta):
    x = torch.tensor(values, dtype=torch.float64)
    made = smooth_l1_loss(x, torch.zeros_like(x), beta, "none")
    assert bool((made <= x.abs()).all())
    assert bool((made >= x.abs() - beta / 2).all())
    assert torch.equal(made, smooth_l1_loss(-x, torch.zeros_like(x), beta, "none"))


@given(st.lists(number, min_size=1, max_size=20), st.sampled_from([0.5, 1.0, 2.0]))
def test_focal_never_exceeds_the_cross_entropy(values, gamma):
    x = torch.tensor(values, dtype=torch.float64)
    for truth in (torch.zeros_like(x), torch.ones_like(x)):
        full = sigmoid_focal_loss(x, truth, alpha=-1, gamma=0.0)
        made = sigmoid_focal_loss(x, truth, alpha=-1, gamma=gamma)
        assert bool((made <= full).all())
        assert bool((made >= 0).all())
