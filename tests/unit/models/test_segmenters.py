"""FCN and U-Net: shapes, skips, initialisation, and what they refuse."""

import pytest
import torch
from torch.nn import functional
from torchvision.models import squeezenet1_0

from cvlab import models
from cvlab.models.fcn import INITS, Interpolate, Upsample
from cvlab.models.unet import UpBlock

SMALL = {
    "fcn": lambda: models.FCN(models.SmallBackbone((4, 6, 8, 8, 8), (1, 1, 1, 1), maps=3), 5),
    "unet": lambda: models.UNet(models.SmallBackbone((4, 6, 8), (1, 1), maps=1), 5),
    "squeeze": lambda: models.SqueezeUNet(5, width=16),
}


@pytest.fixture(params=sorted(SMALL))
def model(request):
    torch.manual_seed(0)
    return SMALL[request.param]().eval()


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 50), (95, 32)])
def test_logits_have_the_pictures_size_whatever_it_is(model, size):
    out = model(torch.rand(2, 3, *size))
    assert list(out) == ["out"]
    assert out["out"].shape == (2, 5, *size)


def test_bytes_and_floats_and_lists_are_the_same_pictures(model):
    pictures = torch.randint(0, 256, (2, 3, 40, 36), dtype=torch.uint8)
    expected = model(pictures.float() / 255)["out"]
    torch.testing.assert_close(model(pictures)["out"], expected)
    torch.testing.assert_close(model(list(pictures))["out"], expected)


def test_every_parameter_learns(model):
    labels = torch.randint(0, 5, (2, 40, 36))
    functional.cross_entropy(model.train()(torch.rand(2, 3, 40, 36))["out"], labels).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_moved_picture_gives_moved_logits(model):
    """By the coarsest map's stride, away from the border: what a fully convolutional network promises."""
    stride = model.stride
    picture = torch.zeros(1, 3, 7 * stride, 7 * stride)
    picture[..., 3 * stride : 4 * stride, 3 * stride : 4 * stride] = torch.rand(3, stride, stride)
    moved = picture.roll((stride, -stride), (2, 3))
    with torch.no_grad():
        before, after = model.double()(picture.double())["out"], model(moved.double())["out"]
    inner = slice(3 * stride, 4 * stride)
    expected = before.roll((stride, -stride), (2, 3))[..., inner, inner]
    torch.testing.assert_close(after[..., inner, inner], expected, atol=1e-2, rtol=0)  # the border is felt a little
    assert (after - before)[..., inner, inner].abs().max() > 0.1  # at one place, the two are not alike


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(3, 64, 64), "images must be a list"),
        (torch.rand(0, 3, 64, 64), "there must be one image or more"),
        (torch.rand(1, 1, 64, 64), r"image 0 must have shape \(3, H, W\)"),
        ([torch.rand(3, 64, 64), torch.rand(3, 64, 65)], r"one size, got \(64, 64\) and, image 1, \(64, 65\)"),
        (torch.rand(1, 3, 64, 7), r"at least \d+ pixels along each side, the coarsest map's stride, got \(64, 7\)"),
    ],
)
def test_bad_pictures_are_named(model, images, message):
    with pytest.raises(ValueError, match=message):
        model(images)


def test_too_few_classes():
    with pytest.raises(ValueError, match="FCN: num_classes counts the background, so it is at least 2, got 1"):
        models.FCN(models.SmallBackbone(), 1)
    with pytest.raises(ValueError, match="fcn_small: skips must lie from 0 to 3, got 4"):
        models.fcn_small(skips=4)
    with pytest.raises(ValueError, match="the weights 'fcn_small' are for 11 classes"):
        models.fcn_small(3, weights="fcn_small")


# --- FCN ---


@pytest.mark.parametrize("skips", [0, 1, 2, 3])
def test_each_skip_halves_the_last_step(skips):
    model = models.fcn_small(skips=skips, hidden=0)
    assert model.enlarge.stride == (32 // 2**skips,) * 2
    assert len(model.upsample) == skips
    scores = model.scores(torch.zeros(1, 3, 64, 64))
    assert [s.shape[-1] for s in scores] == [64 // (32 // 2**i) for i in range(skips, -1, -1)]


def test_scores_are_added_from_coarse_to_fine():
    """With bilinear kernels, and constant scores 1, 10 and 100: sums 1, 11 and 111 away from the border."""
    model = models.FCN(models.SmallBackbone((4, 4, 4, 4, 4), (1, 1, 1, 1), maps=3), 2)
    scores = [torch.full((1, 2, 32 // 2**i, 32 // 2**i), 10.0 ** (2 - i)) for i in range(3)]
    coarse, middle, fine = model.merge(scores)
    assert (coarse == 1).all()
    torch.testing.assert_close(middle[..., 2:-2, 2:-2], torch.full((1, 2, 12, 12), 11.0))
    torch.testing.assert_close(fine[..., 4:-4, 4:-4], torch.full((1, 2, 24, 24), 111.0))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_bilinear_upsampling_is_interpolation_inside(factor):
    x = torch.rand(1, 3, 6, 6)
    expected = functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    inner = slice(factor, -factor)
    torch.testing.assert_close(Upsample(3, factor)(x)[..., inner, inner], expected[..., inner, inner])


@pytest.mark.parametrize("factor", [1, 3, 8])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_interpolation_is_torchs(factor, memory):
    x = torch.rand(2, 3, 5, 7).to(memory_format=memory)
    found = Interpolate(factor)(x)
    torch.testing.assert_close(found, functional.interpolate(x, scale_factor=factor, mode="bilinear"))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_an_enlargement_that_is_not_learned_has_no_weights():
    backbone = models.SmallBackbone((4, 6, 8, 8, 8), (1, 1, 1, 1), maps=3)
    model = models.FCN(backbone, 5, learned=False)
    assert not list(model.enlarge.parameters())
    assert model(torch.rand(1, 3, 70, 40))["out"].shape == (1, 5, 70, 40)
    assert [p.numel() for p in model.upsample.parameters()] == [5 * 5 * 16] * 2


def test_other_initialisations():
    torch.manual_seed(0)
    kernels = {init: Upsample(4, 2, init).weight for init in INITS}
    assert kernels["normal"].std().item() == pytest.approx(0.01, rel=0.2)
    assert kernels["xavier"].std() > kernels["normal"].std()
    with pytest.raises(ValueError, match="Upsample: init must be one of bilinear, xavier, normal, random, got 'zero'"):
        Upsample(4, 2, "zero")
    with pytest.raises(ValueError, match="Upsample: factor must be even and at least 2, got 3"):
        Upsample(4, 3)


# --- U-Net ---


def test_up_block_joins_what_both_maps_say():
    block = UpBlock(6, 4, 5).eval()
    coarse, fine = torch.rand(1, 6, 3, 4), torch.rand(1, 4, 5, 7)  # 6 x 8 is cut to 5 x 7
    assert block(coarse, fine).shape == (1, 5, 5, 7)
    assert not torch.equal(block(coarse, fine), block(coarse, torch.zeros_like(fine)))
    assert not torch.equal(block(coarse, fine), block(torch.zeros_like(coarse), fine))


def test_the_way_up_mirrors_the_way_down():
    model = models.unet_small().eval()
    down = model.way_down(torch.zeros(1, 3, 64, 96))
    up = model.way_up(down)
    assert [m.shape[-1] for m in down] == [48, 24, 12, 6]
    assert [m.shape[1:] for m in up[1:]] == [m.shape[1:] for m in down[-2::-1]]


# --- on ResNet-50 ---


def test_resnet_is_dilated_where_it_should_be():
    with torch.device("meta"):
        net = models.ResNet50(dilated=True)
        maps = net(torch.empty(1, 3, 64, 64))
    assert [m.shape[-1] for m in maps] == [16, 8, 8, 8]
    assert net.strides == [4, 8, 8, 8]
    assert [block.conv2.dilation[0] for block in net.layer3] == [1, 2, 2, 2, 2, 2]
    assert [block.conv2.dilation[0] for block in net.layer4] == [2, 4, 4]


def test_weights_of_another_network_are_refused():
    model = models.fcn_resnet50(3, aux=True)
    state = model.state_dict()
    with pytest.raises(ValueError, match="fcn_resnet50: the weights are for 3 classes, got num_classes=21"):
        models.fcn_resnet50(21, state_dict=state)
    del state["classifier.0.weight"]
    with pytest.raises(ValueError, match=r"1 key missing \(classifier.0.weight\)"):
        models.fcn_resnet50(3, state_dict=state)


def test_second_head_comes_with_the_weights_and_can_be_left_out():
    model = models.fcn_resnet50(3, aux=True).eval()
    pictures = torch.rand(1, 3, 40, 56)
    with torch.no_grad():
        both = models.fcn_resnet50(3, state_dict=model.state_dict())(pictures)
        one = models.fcn_resnet50(3, state_dict=model.state_dict(), aux=False)(pictures)
    assert sorted(both) == ["aux", "out"]
    assert list(one) == ["out"]
    torch.testing.assert_close(one["out"], both["out"])


def test_squeezenets_layers_are_torchvisions_with_a_padded_first_one():
    features = squeezenet1_0().features
    model = models.SqueezeUNet(2)
    model.features.load_state_dict(features.state_dict())
    pictures = torch.rand(1, 3, 64, 48)
    maps = model.eval().way_down(pictures)
    assert [tuple(m.shape[1:]) for m in maps] == [(96, 32, 24), (256, 16, 12), (512, 8, 6), (512, 4, 3)]
    with torch.no_grad():
        torch.testing.assert_close(maps[-1], features.eval()(functional.pad(pictures, (3,) * 4)))
