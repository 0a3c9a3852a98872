"""Learning-rate schedules: functions from the progress of a training, 0 at its start and 1 at its end, to a factor.

The learning rate of a step is `learning_rate * warm_up(step, warmup) * schedule(progress)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from cvlab import _check

Schedule = Callable[[float], float]


def warm_up(step: int, steps: int) -> float:
    """Compute the factor of a linear warm-up.

    Args:
        step: The number of the step, from 0.
        steps: The length of the warm-up; 0 for none.

    Returns:
        A factor in (0, 1], which is 1 / steps at the first step and 1 from step `steps - 1` on.

    Raises:
        InputError: One of both is negative.

    Example:
        >>> [warm_up(step, 4) for step in range(6)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]

    References:
        Goyal et al. (2017). Accurate, large minibatch SGD, section 2.2.
    """
    _check.positive("warm_up", "(step, steps)", (step, steps), zero=True)
    return min(1.0, (step + 1) / steps) if steps else 1.0


def constant(progress: float) -> float:
    """Keep the learning rate as it is.

    Args:
        progress: In [0, 1].

    Returns:
        1.

    Raises:
        InputError: `progress` lies outside of [0, 1].

    Example:
        >>> constant(0.5)
        1.0
    """
    _check.fraction("constant", "progress", progress)
    return 1.0


def cosine(progress: float, end: float = 0.0) -> float:
    """Let the learning rate fall along half a wave of a cosine.

    Args:
        progress: In [0, 1].
        end: The factor at the end, in [0, 1].

    Returns:
        A factor that falls from 1 to `end`.

    Raises:
        InputError: An argument lies outside of [0, 1].

    Notes:
        This is one period of the warm restarts that the paper proposes, without a restart.

    Example:
        >>> [round(cosine(progress), 4) for progress in (0.0, 0.25, 0.5, 1.0)]
        [1.0, 0.8536, 0.5, 0.0]

    References:
        Loshchilov and Hutter (2017). SGDR: stochastic gradient descent with warm restarts, equation 5.
    """
    _check.fraction("cosine", "progress", progress)
    _check.fraction("cosine", "end", end)
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))


def step(progress: float, milestones: Sequence[float] = (2 / 3, 8 / 9), gamma: float = 0.1) -> float:
    """Let the learning rate fall to a fraction at each milestone.

    Args:
        progress: In [0, 1].
        milestones: Where it falls, in [0, 1]; by default after 8 and 11 of 12 parts, or nearly so.
        gamma: What is left of it, in [0, 1].

    Returns:
        `gamma` to the power of the number of milestones reached.

    Raises:
        InputError: An argument lies outside of [0, 1].

    Example:
        >>> [round(step(progress), 4) for progress in (0.0, 0.5, 0.7, 1.0)]
        [1.0, 1.0, 0.1, 0.01]
    """
    _check.fraction("step", "progress", progress)
    _check.fraction("step", "gamma", gamma)
    for i, milestone in enumerate(milestones):
        _check.fraction("step", f"milestones[{i}]", milestone)
    return gamma ** sum(progress >= milestone for milestone in milestones)


def cyclic(progress: float, cycles: int = 3, low: float = 0.1, decay: float = 0.5) -> float:
    """Let the learning rate rise and fall in triangles, each lower than the one before.

    Args:
        progress: In [0, 1].
        cycles: Number of triangles, at least 1.
        low: The factor at the foot of the triangles, in [0, 1].
        decay: The height of a triangle over that of the one before, in [0, 1].

    Returns:
        A factor, which is `low` at the start and the end, 1 at the first peak, and `low + (1 - low) * decay` at the
        second.

    Raises:
        InputError: `cycles` is no whole number of at least 1, or another argument lies outside of [0, 1].

    Example:
        >>> [round(cyclic(progress, cycles=2), 4) for progress in (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)]
        [0.1, 0.55, 1.0, 0.1, 0.55, 0.1]

    References:
        Smith (2017). Cyclical learning rates for training neural networks, section 3.1: "triangular2" with
        `decay` = 0.5.
    """
    if isinstance(cycles, bool) or not isinstance(cycles, int) or cycles < 1:
        raise _check.InputError(f"cyclic: cycles must be a whole number of at least 1, got {cycles!r}")
    for name, value in (("progress", progress), ("low", low), ("decay", decay)):
        _check.fraction("cyclic", name, value)
    cycle, place = divmod(progress * cycles, 1)
    return low + (1 - low) * decay**cycle * (1 - abs(2 * place - 1))


SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine, "cyclic": cyclic, "step": step}
"""The schedules that have a name."""
