"""Style transfer against the formulation of PyTorch's tutorial, its memory, and the network that paints in one pass."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.timing import Row
from cvlab.data import painting, photos
from cvlab.models import StyleFeatures, fast_style
from cvlab.preprocess import resize
from cvlab.style import Objective, StyleTransfer, activation_bytes, gram_matrix, loss_network

SIDE, STEPS = 256, 100


class Kept(nn.Module):
    """Passes a map on, and keeps its distance from a target, as the tutorial's loss modules do."""

    def __init__(self, statistic: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.statistic, self.target, self.loss = statistic, torch.zeros(()), torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        """Keep the loss."""
        found = self.statistic(x)
        self.loss = nn.functional.mse_loss(found, self.target.expand_as(found))
        return x


class Target(nn.Module):
    """Takes a map's statistic as the target of the loss that follows."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.kept = [kept]

    def forward(self, x: Tensor) -> Tensor:
        """Take it."""
        self.kept[0].target = self.kept[0].statistic(x).detach()
        return x


def layers(network: StyleFeatures) -> Iterator[tuple[str, nn.Module]]:
    """Give the network's layers one after the other, with their names, up to the last that counts."""
    yield "stem", network.stem
    for i, fire in enumerate(network.fires):
        yield f"fires.{i}", nn.Sequential(nn.AvgPool2d(2), fire) if i in (0, 3) else fire


def gram(x: Tensor) -> Tensor:
    """Compute a Gram matrix as the tutorial does."""
    features = x.view(x.shape[0] * x.shape[1], -1)
    return torch.mm(features, features.t()) / x.numel()


def tutorial(content: Tensor, style: Tensor) -> Callable[[bool], Callable[[], Tensor]]:
    """Make the tutorial's formulation: one chain of layers and losses."""
    found = loss_network()
    network = found.module
    runs: dict[str, list[nn.Module]] = {"loss": [], "content": [], "style": []}
    contents, styles = [], []
    for name, layer in layers(network):
        for run in runs.values():
            run.append(layer)
        for kind, wanted, losses, statistic in (
            ("content", found.content, contents, nn.Identity()),
            ("style", found.style, styles, gram),
        ):
            if name in wanted:
                losses.append(Kept(statistic))
                runs["loss"].append(losses[-1])
                runs[kind].append(Target(losses[-1]))
    chains = {kind: nn.Sequential(*run).requires_grad_(False) for kind, run in runs.items()}
    mean, std = network.mean, network.std
    picture = content.clone().requires_grad_()

    def targets() -> None:
        with torch.no_grad():
            chains["content"]((content - mean) / std)
            chains["style"]((style - mean) / std)

    def stepping(anew: bool) -> Callable[[], Tensor]:
        targets()

        def step() -> Tensor:
            if anew:
                targets()
            picture.grad = None
            chains["loss"]((picture - mean) / std)
            total = sum(each.loss for each in contents) + sum(each.loss for each in styles)
            total.backward()
            return picture.grad

        return step

    return stepping


def ours(content: Tensor, style: Tensor) -> Callable[[], Tensor]:
    """Make a step of cvlab, with the same losses."""
    network = loss_network()
    transfer = StyleTransfer(network)
    objective = Objective(
        transfer.features,
        content,
        [style],
        content_layers=network.content,
        style_layers=network.style,
        content_weight=1.0,
        style_weight=len(network.style),
        tv_weight=0.0,
        relative=False,
    )
    picture = content.clone().requires_grad_()
    return lambda: torch.autograd.grad(objective(picture)["total"], picture)[0]


def pictures() -> tuple[Tensor, Tensor]:
    """Give a content and a style, (1, 3, 256, 256)."""
    cat = photos.load("chelsea")[:, :, 75:375]
    return resize(cat, (SIDE, SIDE)).clamp(0, 1)[None], painting("strokes", SIDE)[None]


def rows() -> Iterator[Row]:
    """Yield all rows."""
    content, style = pictures()
    step, theirs = ours(content, style), tutorial(content, style)
    for name, anew in (("targets kept", False), ("targets computed anew", True)):
        other = theirs(anew)

        def check(other: Callable[[], Tensor] = other) -> None:
            torch.testing.assert_close(step(), other(), rtol=1e-3, atol=1e-9)

        yield Row(f"loss and gradient, 256 x 256; the other's {name}", step, {"torch": other}, check, 12)
    x = torch.rand(1, 48, 128, 128)
    plain = lambda: x.flatten(2) @ x.flatten(2).transpose(1, 2) / x[0].numel()  # noqa: E731
    yield Row("gram_matrix of 48 x 128 x 128", lambda: gram_matrix(x), {"torch": plain})


def memory(side: int) -> tuple[int, int]:
    """Measure the bytes of the maps that are kept for the way back, and the most that tensors take during a step."""
    transfer = StyleTransfer(loss_network())
    needed = activation_bytes(transfer.features, (side, side))
    step = ours(torch.rand(1, 3, side, side), torch.rand(1, 3, side, side))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())])
    return needed, int(now.max())


def NOTES() -> str:  # noqa: N802
    """Measure whole transfers, memory, and the fast network."""
    content, style = (each[0] for each in pictures())
    lines = []
    for precision in (None, "bf16"):
        start = time.process_time()
        StyleTransfer(loss_network(), precision=precision).run(content, style, steps=STEPS, progress=False)
        kind = "float32" if precision is None else "bfloat16"
        lines.append(f"| {STEPS} steps of Adam, {SIDE} x {SIDE}, {kind} | {time.process_time() - start:.1f} s of CPU |")
    for side in (256, 512, 1024):
        needed, most = memory(side)
        text = f"{most / 1e6:.0f} MB, {most / needed:.2f} times the maps that the way back needs"
        lines.append(f"| most memory in tensors, one step, {side} x {side} | {text} |")
    model = fast_style("fast_style_strokes")
    with torch.no_grad():
        times = []
        for _ in range(10):
            start = time.perf_counter()
            model(content[None])
            times.append(time.perf_counter() - start)
    lines.append(f"| the fast network, {SIDE} x {SIDE} | {min(times) * 1000:.0f} ms |")
    table = "\n".join(["| one thread | |", "|---|---:|", *lines])
    return (
        '"torch" is the formulation of PyTorch\'s tutorial on the same network: one chain of layers with losses in '
        "between. It keeps its targets; people's programs often compute them anew in every step.\n\n" + table
    )
