"""The optimisation of a picture: that it reaches what it should, the same each time, and goes on where it stopped."""

from __future__ import annotations

import io

import pytest
import torch
from torch import Tensor

from cvlab import style
from cvlab._check import InputError
from cvlab.style import memory

NETWORK = style.loss_network("random")
GENERATOR = torch.Generator().manual_seed(0)
CONTENT = torch.rand(3, 8, 8, generator=GENERATOR).repeat_interleave(5, 1).repeat_interleave(6, 2)  # 40 x 48
STYLE = torch.rand(3, 40, 48, generator=GENERATOR)
OTHER = torch.linspace(0, 1, 48).expand(3, 40, 48).contiguous()


def run(settings: dict | None = None, content: Tensor = CONTENT, other=STYLE, **options) -> style.StyleResult:
    return style.StyleTransfer(NETWORK, **(settings or {})).run(
        content, other, **{"steps": 6, "progress": False, **options}
    )


# --- what it does ---


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_losses_fall(optimizer):
    result = run({"optimizer": optimizer}, steps=15)
    assert result.finished
    assert result.picture.shape == CONTENT.shape
    assert 0 <= float(result.picture.min()) <= float(result.picture.max()) <= 1
    assert [row["step"] for row in result.history] == list(range(1, 16))
    assert result.history[-1]["style"] < result.history[0]["style"] / 2
    assert result.history[-1]["total"] < result.history[0]["total"]


def test_the_total_is_weighted():
    row = run({"content_weight": 2.0, "style_weight": 30.0, "tv_weight": 4.0}).history[-1]
    assert row["total"] == pytest.approx(2 * row["content"] + 30 * row["style"] + 4 * row["tv"], rel=1e-5)


def test_losses_are_relative():
    """A style layer's loss is in units of its target, so a network with larger activations gives the same."""
    base = style.FeatureExtractor(NETWORK.module, ["stem"])
    options = {
        "content_layers": {},
        "style_layers": {"stem": 1.0},
        "content_weight": 1.0,
        "style_weight": 1.0,
        "tv_weight": 0.0,
    }

    class Tenfold(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = NETWORK.module
            self.stem = torch.nn.Identity()

        def forward(self, x):
            return self.stem(10 * self.inner(x)[0])

    found = [
        style.Objective(features, CONTENT[None], [STYLE[None]], **options)(OTHER[None])["style"]
        for features in (base, style.FeatureExtractor(Tenfold(), ["stem"]))
    ]
    assert float(found[0]) == pytest.approx(float(found[1]), rel=1e-4)


def test_the_gradient_of_the_whole_objective():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Conv2d(4, 5, 3)).double()
    features = style.FeatureExtractor(network, ["1", "2"]).double()
    small = [each[None, :, :7, :8].double() for each in (CONTENT, STYLE, OTHER)]
    mask = torch.rand(2, 7, 8, generator=torch.Generator().manual_seed(1))
    for statistic in ("gram", "moments"):
        objective = style.Objective(
            features,
            small[0],
            small[1:],
            content_layers={"2": 1.0},
            style_layers={"1": 1.0, "2": 0.5},
            content_weight=1.0,
            style_weight=3.0,
            tv_weight=0.3,
            tv_power=2,
            statistic=statistic,
            masks=mask,
        )
        picture = (small[0] * 0.5 + 0.2).requires_grad_()
        (gradient,) = torch.autograd.grad(objective(picture)["total"], picture)
        way = torch.randn(picture.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        with torch.no_grad():
            ahead, back = (float(objective(picture + h * way)["total"]) for h in (1e-2, -1e-2))
        assert float((gradient * way).sum()) == pytest.approx((ahead - back) / 2e-2, rel=5e-2)


def test_noise_starts_away_from_the_content_and_follows_the_seed():
    starts = [run({"start": "noise", "seed": seed}, steps=1, snapshot_every=1).snapshots[0][1] for seed in (0, 0, 1)]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    content = run(steps=1, snapshot_every=1).snapshots[0][1]
    assert float((content / 255 - CONTENT).abs().max()) <= 0.5 / 255 + 1e-6
    assert float((starts[0] / 255 - CONTENT).abs().mean()) > 0.1


def test_snapshots_come_every_so_many_steps():
    result = run(steps=7, snapshot_every=3)
    assert [step for step, _ in result.snapshots] == [0, 3, 6]
    assert {picture.dtype for _, picture in result.snapshots} == {torch.uint8}
    assert run().snapshots == []


def test_levels_go_from_coarse_to_fine():
    content, other = (each.repeat(1, 2, 2) for each in (CONTENT, STYLE))
    result = run({"levels": 2}, content, other, steps=[3, 2], snapshot_every=1)
    assert result.picture.shape == content.shape
    assert len(result.history) == 5
    assert {tuple(picture.shape) for _, picture in result.snapshots} == {tuple(content.shape)}
    shared = run({"levels": 2}, content, other, steps=5)
    assert shared.state["plan"] == [2, 3]


@pytest.mark.parametrize("statistic", ["gram", "moments"])
def test_either_statistic(statistic):
    history = run({"statistic": statistic}, steps=12).history
    assert history[-1]["style"] < history[0]["style"]


def test_colours():
    plain, kept, matched = (run({"colours": way}, steps=10).picture for way in ("style", "luminance", "matched"))
    chroma = CONTENT - style.luminance(CONTENT)
    away = [float((p - style.luminance(p) - chroma).abs().mean()) for p in (plain, kept)]
    assert away[1] < away[0]
    assert not torch.equal(plain, matched)


def test_matched_colours_are_those_of_the_content():
    """The style is blue, the content is not; from noise, only matching keeps blue out of the picture."""
    blue = STYLE * torch.tensor([0.1, 0.1, 1.0])[:, None, None]
    settings = {"content_weight": 0.0, "start": "noise"}
    away = []
    for colours in ("style", "matched"):
        picture = run({**settings, "colours": colours}, other=blue, steps=40).picture
        away.append(float((picture.mean((1, 2)) - CONTENT.mean((1, 2))).abs().max()))
    assert away[1] < 0.5 * away[0]


def test_masks_say_where_each_style_is_painted():
    """Left lines that lie, right lines that stand."""
    lying = ((torch.arange(40) // 4) % 2).float()[:, None].expand(3, 40, 48).contiguous()
    standing = ((torch.arange(48) // 4) % 2).float().expand(3, 40, 48).contiguous()
    masks = torch.zeros(2, 40, 48)
    masks[0, :, :24], masks[1, :, 24:] = 1, 1
    transfer = style.StyleTransfer(style.loss_network("filters"), content_weight=0.0, start="noise", optimizer="lbfgs")
    picture = transfer.run(STYLE, [lying, standing], masks=masks, steps=40, progress=False).picture

    def down_against_across(part: Tensor) -> float:
        return float(part.diff(dim=1).abs().mean() / part.diff(dim=2).abs().mean())

    left, right = down_against_across(picture[..., :20]), down_against_across(picture[..., 28:])
    assert left > 1.5 > 0.67 > right


def test_masks_at_several_levels():
    content, other = (each.repeat(1, 2, 2) for each in (CONTENT, STYLE))
    masks = torch.zeros(2, 80, 96)
    masks[0, :, :30], masks[1, :, 30:] = 1, 1
    result = run({"levels": 2}, content, [other, OTHER.repeat(1, 2, 2)], masks=masks)
    assert result.finished
    assert result.history[-1]["style"] < result.history[3]["style"] < 10


def test_several_styles_blend():
    one, both, other = (
        run(other=[STYLE, OTHER], style_weights=weights).picture for weights in ([1, 0], [1, 1], [0, 1])
    )
    torch.testing.assert_close(one, run(other=[STYLE]).picture, atol=1e-4, rtol=0)
    assert not torch.equal(one, both)
    assert float((one - other).abs().mean()) > float((one - both).abs().mean())


# --- the same each time ---


@pytest.mark.parametrize(
    "settings",
    [{}, {"optimizer": "lbfgs"}, {"precision": "bf16"}, {"start": "noise"}, {"colours": "luminance"}],
    ids=str,
)
def test_going_on_gives_the_same_bytes_as_running_through(settings):
    whole = run(settings, steps=7, snapshot_every=2)
    state = None
    for until in (2, 5, None):
        part = run(settings, steps=7, snapshot_every=2, until=until, state=state)
        assert part.finished == (until is None)
        file = io.BytesIO()
        torch.save(part.state, file)
        file.seek(0)
        state = torch.load(file, weights_only=True)
    assert torch.equal(part.picture, whole.picture)
    assert part.history == whole.history
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(part.snapshots, whole.snapshots, strict=True))


def test_going_on_across_levels():
    content, other = (each.repeat(1, 2, 2) for each in (CONTENT, STYLE))
    whole = run({"levels": 2}, content, other, steps=[3, 3])
    for stop in (2, 3, 4):
        part = run({"levels": 2}, content, other, steps=[3, 3], until=stop)
        assert len(part.history) == stop
        assert torch.equal(run({"levels": 2}, content, other, steps=[3, 3], state=part.state).picture, whole.picture)


def test_ctrl_c_keeps_what_there_is(monkeypatch):
    objective, calls = style.Objective.__call__, []

    def interrupted(self, picture):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return objective(self, picture)

    monkeypatch.setattr(style.Objective, "__call__", interrupted)
    stopped = run(steps=6)
    assert (len(stopped.history), stopped.finished) == (3, False)
    monkeypatch.undo()
    assert torch.equal(run(steps=6, state=stopped.state).picture, run(steps=6).picture)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_picture_that_lies_otherwise_in_memory(optimizer):
    moved = CONTENT.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert not moved.is_contiguous()
    assert torch.equal(run({"optimizer": optimizer}, moved).picture, run({"optimizer": optimizer}).picture)


def test_half_the_maps_in_bfloat16_and_nearly_the_same_picture():
    full, half = (run({"precision": precision}, steps=10) for precision in (None, "bf16"))
    assert not torch.equal(full.picture, half.picture)
    assert float((full.picture - half.picture).abs().mean()) < 0.03
    assert half.history[-1]["style"] == pytest.approx(full.history[-1]["style"], rel=0.3)


# --- pictures of all kinds ---


def test_bytes_are_taken_as_what_they_mean():
    assert torch.equal(
        run(content=(CONTENT * 255).round().to(torch.uint8)).picture, run(content=(CONTENT * 255).round() / 255).picture
    )


def test_grey_and_alpha():
    grey = CONTENT.mean(0)
    expected = run(content=grey.expand(3, -1, -1)).picture
    for shape in (grey, grey[None], grey[None, None]):
        assert torch.equal(run(content=shape).picture, expected)
    opaque = torch.cat([CONTENT, torch.ones(1, 40, 48)])
    assert torch.equal(run(content=opaque).picture, run().picture)
    clear = torch.cat([CONTENT, torch.zeros(1, 40, 48)])
    white = run(content=torch.ones(3, 40, 48)).picture
    assert torch.equal(run(content=clear).picture, white)


def test_styles_of_another_size_are_resized_with_notice():
    with pytest.warns(
        UserWarning, match=r"the style, 80 x 120, is resized to 40 x 60, the scale of the content, 40 x 48"
    ):
        run(other=torch.rand(3, 80, 120))


def test_sides_need_not_be_even():
    assert run(content=CONTENT[:, :39, :47], other=STYLE[:, :39, :47]).picture.shape == (3, 39, 47)


def holed(value: float) -> Tensor:
    picture = CONTENT.clone()
    picture[1, 2, 3] = value
    return picture


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (holed(float("nan")), "content must lie in .*nan in channel 1 at row 2, column 3"),
        (holed(1.5), "content must lie in .*1.5 in channel 1 at row 2, column 3"),
        (255 * CONTENT, r"content must lie in \[0, 1\]"),
        (CONTENT[:, :31], "at least 32 pixels along each side, got .31, 48."),
        (torch.rand(5, 40, 48), "must be one picture"),
        (torch.rand(2, 3, 40, 48), "must be one picture"),
        (torch.zeros(3, 40, 48, dtype=torch.int64), "uint8, or float"),
    ],
    ids=["nan", "above 1", "0 to 255", "tiny", "five channels", "two pictures", "int64"],
)
def test_pictures_that_are_none_are_refused(content, words):
    with pytest.raises(InputError, match=words):
        run(content=content)


def test_a_bad_style_is_named_by_its_number():
    with pytest.raises(InputError, match="style 1 must lie in"):
        run(other=[STYLE, holed(float("nan"))])
    with pytest.raises(InputError, match="there must be a style, got none"):
        run(other=[])


def test_a_huge_picture_is_refused_with_the_size_that_would_fit(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 200_000_000)
    large = torch.zeros(1, 1, 1).expand(3, 2000, 1000)
    with pytest.raises(
        InputError, match=r"a picture of 2000 x 1000 needs about .* GB, and 0.2 GB are free; (\d+) x (\d+) would fit"
    ) as caught:
        run(content=large, other=large)
    h, w = map(int, str(caught.value).split("; ")[1].split(" would")[0].split(" x "))
    assert 1.9 < h / w < 2.1
    memory.check_memory("x", style.FeatureExtractor(NETWORK.module, ["stem", "fires.5"]), (h, w))


def test_free_memory_is_known_here():
    free = memory.available_bytes(torch.device("cpu"))
    assert free is None or 10**7 < free < 10**14


# --- settings ---


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"content_layers": {"conv": 1.0}}, "no layers 'conv'; there are stem, .*fires.0"),
        ({"style_layers": {"stem": -1.0}}, "the style weight of layer 'stem' must be 0 or more, got -1"),
        ({"content_weight": -1.0}, "content_weight must be 0 or more, got -1"),
        ({"style_weight": float("nan")}, "style_weight must be 0 or more, got nan"),
        ({"tv_weight": float("inf")}, "tv_weight must be 0 or more, got inf"),
        ({"content_weight": 0.0, "style_weight": 0.0}, "weights of content and style are all zero"),
        ({"content_layers": {"stem": 0.0}, "style_layers": {}}, "weights of content and style are all zero"),
        ({"optimizer": "sgd"}, "optimizer.*adam.*lbfgs"),
        ({"start": "style"}, "start.*content.*noise"),
        ({"colours": "grey"}, "colours.*style.*luminance.*matched"),
        ({"statistic": "mean"}, "statistic.*gram.*moments"),
        ({"precision": "fp16"}, 'precision must be None or "bf16"'),
        ({"levels": 0}, "levels must be 1 or more, got 0"),
        ({"levels": 1.5}, "levels must be 1 or more, got 1.5"),
        ({"tv_power": 3}, "tv_power must be 1 or 2, got 3"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0, got nan"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        style.StyleTransfer(NETWORK, **settings)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": [3, 3]}, "steps must be one number, or one for each of 1"),
        ({"steps": -1}, "steps must be"),
        ({"steps": 2.5}, "steps must be one number, .*got 2.5"),
        ({"snapshot_every": 0}, "snapshot_every must be 1 or more, or None, got 0"),
        ({"style_weights": [1.0, 2.0]}, "style_weights must be one for each of 1, got 2"),
        ({"style_weights": [-1.0]}, "the weight of style 0 must be 0 or more, got -1"),
        ({"style_weights": [0.0]}, "weights of the styles are all zero"),
        ({"masks": torch.ones(2, 40, 48)}, "masks"),
        ({"masks": torch.ones(1, 40, 47)}, "masks"),
        ({"masks": torch.full((1, 40, 48), 2.0)}, r"masks must lie in \[0, 1\]"),
        ({"masks": torch.zeros(1, 40, 48)}, "mask 0 covers nothing"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        run(**options)


def test_too_many_levels_are_refused():
    with pytest.raises(InputError, match=r"2 levels shrink \(40, 48\) below 32 pixels"):
        run({"levels": 2})


def test_a_state_of_another_run_is_refused():
    state = run(until=2).state
    with pytest.raises(
        InputError, match=r"this state is of \[40, 48\] pixels and \[6\] steps, got \[40, 48\] and \[7\]"
    ):
        run(steps=7, state=state)
    with pytest.raises(InputError, match="this state is of"):
        run(content=CONTENT[:, :36], other=STYLE[:, :36], state=state)


def test_a_loss_that_is_no_number_stops_the_run(monkeypatch):
    objective = style.Objective.__call__
    monkeypatch.setattr(style.Objective, "__call__", lambda *a: {k: v / 0 for k, v in objective(*a).items()})
    with pytest.raises(InputError, match="the loss is inf at step 1; lower the learning rate"):
        run()


# --- the range of the pixels ---


def test_pixels_beyond_the_range_find_their_way_back():
    pixels = torch.tensor([-0.5, -0.5, 0.0, 0.4, 1.0, 1.5, 1.5], requires_grad=True)
    ways = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0])
    seen = style.in_range(pixels)
    assert torch.equal(seen, pixels.detach().clamp(0, 1))
    seen.backward(ways)
    assert pixels.grad.tolist() == [0, -1, 1, 1, -1, 1, 0], "only what would lead further out is held back"


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_black_and_white_are_reached_and_losses_are_those_of_the_picture(optimizer):
    target = (CONTENT > 0.5).float()
    settings = {"optimizer": optimizer, "style_layers": {}, "tv_weight": 0.0, "start": "noise"}
    transfer = style.StyleTransfer(NETWORK, content_layers={"stem": 1.0}, **settings)
    result = transfer.run(target, STYLE, steps=60, progress=False)
    assert float((result.picture - target).abs().mean()) < 0.1
    last = transfer.run(target, STYLE, steps=61, state={**result.state, "plan": [61]}, progress=False).history[-1]
    maps = [transfer.features(each[None])["stem"] for each in (result.picture, target)]
    expected = float(style.content_loss(*maps) / maps[1].var())
    assert last["content"] == pytest.approx(expected, rel=1e-3)
