"""The exercises of the chapter on neural style transfer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import style
from cvlab.exercises.boxes import _generator
from cvlab.exercises.check import Case, Exercise


def _product(maps: Tensor) -> Tensor:
    """Give the sums over all places of the products of two channels, not divided."""
    return maps.flatten(1) @ maps.flatten(1).T


def _gram(maps: Tensor) -> Tensor:
    return style.gram_matrix(maps[None])[0]


GRAM_MISTAKES = {
    "Nothing is divided here: divide by C h w, or a larger map has a larger matrix.": _product,
    "This is divided by h w only: divide by C h w.": lambda x: _product(x) / x[0].numel(),
    "This is divided by C only: divide by C h w.": lambda x: _product(x) / len(x),
    "This sums over channels and keeps the places: flatten to (C, h w), and multiply with the transpose from the "
    "right.": lambda x: x.flatten(1).T @ x.flatten(1) / x.numel(),
    "This multiplies each channel with itself alone: flatten to (C, h w) first.": lambda x: (
        x @ x.transpose(1, 2) / x.numel()
    ),
    "This is a covariance: a Gram matrix leaves the means in.": lambda x: (
        _product(x - x.mean((1, 2), keepdim=True)) / x.numel()
    ),
}


def _maps() -> Iterator[Case]:
    g = _generator(80)
    yield Case("two channels of two places", (torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]),))
    yield Case("one channel: its mean square", (torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]),))
    yield Case("never active at the same place: 0 off the diagonal", (torch.tensor([[[2.0, 0.0]], [[0.0, 3.0]]]),))
    wide = torch.randn(3, 2, 5, generator=g)
    yield Case("random, three channels of 2 x 5", (wide,))
    yield Case("the same places in another order: the same matrix", (wide.flip(2),))
    yield Case("random, many places", (torch.rand(4, 9, 7, generator=g),))


def _down(picture: Tensor) -> Tensor:
    return picture[:, 1:] - picture[:, :-1]


def _across(picture: Tensor) -> Tensor:
    return picture[:, :, 1:] - picture[:, :, :-1]


def _variation(picture: Tensor) -> Tensor:
    return style.total_variation(picture)


VARIATION_MISTAKES = {
    "These are squares: take absolute values.": lambda x: _down(x).square().sum() + _across(x).square().sum(),
    "This compares each pixel with the one below only; the one to the right counts too.": lambda x: (
        _down(x).abs().sum()
    ),
    "This compares each pixel with the one to the right only; the one below counts too.": lambda x: (
        _across(x).abs().sum()
    ),
    "Differences of both signs cancel here: take absolute values before the sum.": lambda x: (
        _down(x).sum() + _across(x).sum()
    ),
    "This is divided by the number of values: it should be a sum.": lambda x: _variation(x) / x.numel(),
    "`roll` compares the last row with the first one, and the last column with the first: they are no neighbours.": (
        lambda x: (x - x.roll(1, 1)).abs().sum() + (x - x.roll(1, 2)).abs().sum()
    ),
}


def _pictures() -> Iterator[Case]:
    edge = torch.zeros(1, 3, 4)
    edge[:, :, 2:] = 0.5
    g = _generator(81)
    yield Case("a constant picture: 0", (torch.full((3, 2, 2), 0.7),))
    yield Case("an upright edge: its length times its height", (edge,))
    yield Case("the same edge, lying", (edge.transpose(1, 2).contiguous(),))
    yield Case("the same edge, soft: no less", (torch.tensor([[[0.0, 0.1, 0.4, 0.5]] * 3]),))
    yield Case(
        "a chequered pattern, in three channels",
        ((torch.arange(4)[:, None] + torch.arange(5) + 0.0).expand(3, 4, 5) % 2,),
    )
    yield Case("random, three channels", (torch.rand(3, 4, 6, generator=g),))


def _masked_gram(maps: Tensor, mask: Tensor) -> Tensor:
    return style.gram_matrix(maps[None], mask=mask)[0]


MASK_MISTAKES = {
    "The mask does not count here.": lambda x, m: _gram(x),
    "This is divided by all places: only those of the mask count, so divide by C times the sum of the mask.": (
        lambda x, m: _product(x * m.sqrt()) / x.numel()
    ),
    "Both factors of the product are multiplied by the mask here, so it counts twice: multiply one of them.": (
        lambda x, m: _product(x * m) / (len(x) * m.sum())
    ),
    "The mask counts twice here, and the divisor is that of all places.": lambda x, m: _product(x * m) / x.numel(),
    "This is divided by the sum of the mask only: divide by C, too.": lambda x, m: _product(x * m.sqrt()) / m.sum(),
    "A place with a mask below 1 counts in part, not wholly.": lambda x, m: _masked_gram(x, (m > 0).float()),
}


def _masked() -> Iterator[Case]:
    g = _generator(82)
    maps = torch.rand(3, 4, 5, generator=g)
    left = torch.zeros(4, 5)
    left[:, :2] = 1
    yield Case("all places: the usual matrix", (maps, torch.ones(4, 5)))
    yield Case("the left two columns", (maps, left))
    yield Case("the rest may be anything", (torch.where(left > 0, maps, 100.0), left))
    alone = torch.zeros(4, 5)
    alone[1, 3] = 1
    yield Case("one place", (maps, alone))
    yield Case("a mask with a soft edge", (maps, torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0]).expand(4, 5).contiguous()))
    yield Case("all places by half: the usual matrix again", (maps, torch.full((4, 5), 0.5)))


def _squares(values: Tensor) -> Tensor:
    """Give each layer's mean square."""
    return values.square().mean((1, 2))


def _weighted(losses: Tensor, weights: Tensor) -> Tensor:
    return (losses * weights).sum() / weights.sum()


def _relative(grams: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    return _weighted(_squares(grams - targets) / _squares(targets), weights)


RELATIVE_MISTAKES = {
    "The layers' losses are not divided by the mean squares of their targets here.": lambda g, t, w: _weighted(
        _squares(g - t), w
    ),
    "The weights must add up to 1: divide by their sum.": lambda g, t, w: (_squares(g - t) / _squares(t) * w).sum(),
    "This divides after the layers are added: the largest one drowns the others. Divide layer by layer.": (
        lambda g, t, w: _weighted(_squares(g - t), w) / _weighted(_squares(t), w)
    ),
    "This divides by the picture's own mean square, which moves with it: divide by the target's.": lambda g, t, w: (
        _weighted(_squares(g - t) / _squares(g), w)
    ),
    "This divides by the square of the mean, not by the mean of the squares.": lambda g, t, w: _weighted(
        _squares(g - t) / t.mean((1, 2)).square(), w
    ),
    "All layers count alike here: use the weights.": lambda g, t, w: _relative(g, t, torch.ones_like(w)),
    "This is divided by the number of layers, too: dividing by the sum of the weights is enough.": lambda g, t, w: (
        _relative(g, t, w) / len(w)
    ),
}


def _layers() -> Iterator[Case]:
    g = _generator(83)
    grams, targets = (torch.rand(3, 2, 2, generator=g) + 0.1 for _ in range(2))
    even = torch.ones(3)
    yield Case("one layer, twice the target: 1", (2 * targets[:1], targets[:1], even[:1]))
    yield Case("a perfect match: 0", (targets, targets, even))
    yield Case("three layers alike", (grams, targets, even))
    scale = torch.tensor([1.0, 1000.0, 0.1]).reshape(3, 1, 1)
    yield Case("the same, one layer a thousand times larger: the same loss", (scale * grams, scale * targets, even))
    yield Case("weights that do not add up to 1", (grams, targets, torch.tensor([1.0, 2.0, 5.0])))
    yield Case("a layer of weight 0", (grams, targets, torch.tensor([1.0, 0.0, 1.0])))


def _luminance_only(painted: Tensor, content: Tensor) -> Tensor:
    return style.with_colours_of(painted, content)


def _brighter(painted: Tensor, content: Tensor) -> Tensor:
    return content + style.luminance(painted) - style.luminance(content)


LUMINANCE_MISTAKES = {
    "Some values are below 0 or above 1: clamp them.": _brighter,
    "Painting and content have changed places.": lambda p, c: _luminance_only(c, p),
    "This is grey: the content's colours are missing.": lambda p, c: style.luminance(p).expand(3, -1, -1),
    "The brightness is the mean of the channels here: weigh them by 0.299, 0.587 and 0.114.": lambda p, c: (
        c + p.mean(0) - c.mean(0)
    ).clamp(0, 1),
    "Blue and red have changed places in the brightness: the weights 0.299, 0.587, 0.114 are of red, green, blue.": (
        lambda p, c: (c + style.luminance(p.flip(0)) - style.luminance(c.flip(0))).clamp(0, 1)
    ),
    "The content's own brightness is still in it: subtract it before adding the painting's.": lambda p, c: (
        c + style.luminance(p)
    ).clamp(0, 1),
}


def _painted() -> Iterator[Case]:
    g = _generator(84)
    red, green = (torch.tensor(rgb).reshape(3, 1, 1).expand(3, 2, 2) for rgb in ([0.6, 0.2, 0.2], [0.2, 0.5, 0.1]))
    a, b = torch.rand(2, 3, 3, 4, generator=g) * 0.3 + 0.35
    yield Case("painted as it was: nothing changes", (a, a))
    yield Case("green paint on a red picture stays red", (green.contiguous(), red.contiguous()))
    yield Case("a grey content stays grey", (a, b[:1].expand(3, 3, 4).contiguous()))
    yield Case("a lighter painting", ((a + 0.2), a))
    yield Case("white paint on red: cut at 1", (torch.ones(3, 2, 2), red.contiguous()))
    yield Case("black paint on red: cut at 0", (torch.zeros(3, 2, 2), red.contiguous()))
    yield Case("random", (torch.rand(3, 5, 4, generator=g), torch.rand(3, 5, 4, generator=g)))


EPS = 1e-5


def _normalised(maps: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return functional.instance_norm(maps, weight=scale, bias=shift, eps=EPS)


def _over(maps: Tensor, scale: Tensor, shift: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Normalise over some axes."""
    variance, mean = torch.var_mean(maps, axes, correction=0, keepdim=True)
    return (maps - mean) / (variance + EPS).sqrt() * scale[:, None, None] + shift[:, None, None]


def _deviations(maps: Tensor, correction: int) -> tuple[Tensor, Tensor]:
    """Give what differs from the channel's mean in its picture, and the channel's standard deviation there."""
    mean = maps.mean((2, 3), keepdim=True)
    return maps - mean, maps.std((2, 3), correction=correction, keepdim=True)


def _divided(maps: Tensor, scale: Tensor, shift: Tensor, correction: int) -> Tensor:
    """Normalise as is often done by hand: epsilon beside the root."""
    rest, deviation = _deviations(maps, correction)
    return rest / (deviation + EPS) * scale[:, None, None] + shift[:, None, None]


def _unbiased(maps: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    rest, deviation = _deviations(maps, 1)
    return rest / (deviation.square() + EPS).sqrt() * scale[:, None, None] + shift[:, None, None]


NORM_MISTAKES = {
    "This is batch normalisation: each picture has a mean and a variance of its own.": lambda x, a, b: _over(
        x, a, b, (0, 2, 3)
    ),
    "This is layer normalisation: each channel has a mean and a variance of its own.": lambda x, a, b: _over(
        x, a, b, (1, 2, 3)
    ),
    "Scale and shift are missing.": lambda x, a, b: _normalised(x, torch.ones_like(a), torch.zeros_like(b)),
    "The variance is divided by n - 1 here, which is the default of `var` and `std`: `correction=0`.": _unbiased,
    "Epsilon belongs under the root, to the variance.": lambda x, a, b: _divided(x, a, b, 0),
    "Epsilon belongs under the root, and the variance is divided by n: `correction=0`.": lambda x, a, b: _divided(
        x, a, b, 1
    ),
    "This divides by the variance: take its root.": lambda x, a, b: (
        (_deviations(x, 0)[0] / (_deviations(x, 0)[1].square() + EPS)) * a[:, None, None] + b[:, None, None]
    ),
}


def _batches() -> Iterator[Case]:
    g = _generator(85)
    maps = torch.randn(2, 3, 4, 5, generator=g)
    one, none = torch.ones(3), torch.zeros(3)
    yield Case("one channel: mean 0, deviation 1", (torch.tensor([[[[0.0, 2.0], [4.0, 6.0]]]]), one[:1], none[:1]))
    yield Case("two pictures, three channels", (maps, one, none))
    yield Case(
        "one picture ten times as bright: the same result",
        (maps * torch.tensor([1.0, 10.0]).reshape(2, 1, 1, 1), one, none),
    )
    yield Case("channels of other sizes", (maps * torch.tensor([1.0, 5.0, 0.2]).reshape(3, 1, 1) + 3, one, none))
    yield Case("with scale and shift", (maps, torch.tensor([0.5, 2.0, -1.0]), torch.tensor([1.0, 0.0, -3.0])))
    yield Case(
        "a constant channel becomes the shift", (torch.full((1, 3, 2, 2), 7.0), one, torch.tensor([0.0, 1.0, 2.0]))
    )
    yield Case("hardly any contrast: epsilon counts", (0.002 * maps, one, none))


EXERCISES = {
    "gram": Exercise(_gram, _maps, mistakes=GRAM_MISTAKES),
    "variation": Exercise(_variation, _pictures, mistakes=VARIATION_MISTAKES),
    "masked_gram": Exercise(_masked_gram, _masked, mistakes=MASK_MISTAKES),
    "relative_loss": Exercise(_relative, _layers, mistakes=RELATIVE_MISTAKES),
    "luminance_only": Exercise(_luminance_only, _painted, mistakes=LUMINANCE_MISTAKES),
    "instance_norm": Exercise(_normalised, _batches, mistakes=NORM_MISTAKES),
}
