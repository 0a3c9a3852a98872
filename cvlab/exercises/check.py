"""Try a reader's function beside the reference and say where they differ."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

# modules with EXERCISES
TOPICS = ("boxes", "augmentation", "detection", "regions", "upsampling", "segmentation", "style", "quantization")


@dataclass(frozen=True)
class Case:
    """One input: what it is, in words, and the arguments."""

    description: str
    arguments: tuple


@dataclass(frozen=True)
class Exercise:
    """A task: the reference function, the inputs to try, how near an answer must come, and mistakes often made.

    A mistake is a wrong function under the hint that its author needs.
    """

    reference: Callable
    cases: Callable[[], Iterable[Case]]
    tolerance: float = 1e-4
    mistakes: Mapping[str, Callable] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: `ok`, and a `message` for the reader.

    Notes:
        `bool(verdict)` is `verdict.ok`; a notebook shows the message.
    """

    ok: bool
    message: str

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return self.message


def _registry() -> dict[str, Exercise]:
    found: dict[str, Exercise] = {}
    for topic in TOPICS:
        found |= importlib.import_module(f"cvlab.exercises.{topic}").EXERCISES
    return found


def names() -> list[str]:
    """List the exercises that `check` knows.

    Example:
        >>> "box_iou" in names()
        True
    """
    return list(_registry())


def check(name: str, answer: Callable) -> Verdict:
    """Try a reader's function on every input of an exercise, beside the reference.

    Args:
        name: the exercise, one of `names()`.
        answer: the reader's function; it gets copies of the inputs and may not change them.

    Returns:
        A `Verdict`: the message counts the inputs if all agree, else it shows the first one that does not: the input,
        what was expected, what came, and the largest difference; and a hint if the mistake is a common one.

    Raises:
        KeyError: there is no exercise of that name. A failing `answer` never raises here: its error is in the message.

    Example:
        >>> from cvlab.ops import box_iou
        >>> check("box_iou", box_iou).ok
        True
        >>> check("box_iou", lambda a, b: None)
        box_iou: not yet. Your function returned None: has it a return statement?
    """
    registry = _registry()
    if name not in registry:
        raise KeyError(f"check: no exercise {name!r}; there are: {', '.join(registry)}")
    exercise = registry[name]
    cases = list(exercise.cases())
    for number, case in enumerate(cases, start=1):
        problem = _problem(exercise, case, answer)
        if problem == _NOTHING:
            return Verdict(False, f"{name}: not yet. {_NOTHING}")
        if problem:
            where = f"Input {number} of {len(cases)}: {case.description}"
            shown = f"{_show_arguments(case.arguments)}\n{problem}{_hint(exercise, cases, answer)}"
            return Verdict(False, f"{name}: not yet. {where}\n{shown}")
    return Verdict(True, f"{name}: correct on all {len(cases)} inputs.")


_NOTHING = "Your function returned None: has it a return statement?"


def _problem(exercise: Exercise, case: Case, answer: Callable) -> str:
    """Say what is wrong with the answer on one input; an empty string if nothing is."""
    expected = exercise.reference(*copy.deepcopy(case.arguments))
    given = copy.deepcopy(case.arguments)
    try:
        got = answer(*given)
    except (Exception, SystemExit) as error:  # the reader's own code may fail in any way
        return f"  your function raised {type(error).__name__}: {_text(str, error)}"
    if got is None:
        return _NOTHING
    if not _same(given, case.arguments):
        return "  your function changed its input in place; work on a copy"
    return _difference(expected, got, exercise.tolerance)


def _hint(exercise: Exercise, cases: list[Case], answer: Callable) -> str:
    """Give the hint of the common mistake that the answer makes on all inputs; an empty string if it makes none."""
    for hint, wrong in exercise.mistakes.items():
        mistaken = replace(exercise, reference=wrong)
        if not any(_problem(mistaken, case, answer) for case in cases):
            return f"\n  {hint}"
    return ""


def _same(a: tuple, b: tuple) -> bool:
    try:
        return all(torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in zip(a, b, strict=True))
    except Exception:  # changed so much that the two cannot even be compared
        return False


def _difference(expected: object, got: object, tolerance: float) -> str:
    if isinstance(expected, tuple):
        if not isinstance(got, (tuple, list)) or len(got) != len(expected):
            return f"  expected {len(expected)} results, got {_show(got)}"
        parts = (_difference(e, g, tolerance) for e, g in zip(expected, got, strict=True))
        return next((f"  result {i}:\n{part}" for i, part in enumerate(parts) if part), "")
    try:
        e, g = torch.as_tensor(expected), torch.as_tensor(got)
    except Exception:  # what came may be anything
        return f"  expected {_show(expected)}\n  got      {_show(got)}"
    if not _plain(g):
        return f"  expected {_show(e)}\n  got      {_show(g)}\n  an ordinary tensor of real numbers is wanted"
    g = g.detach().cpu()
    both = f"  expected {_show(e)}\n  got      {_show(g)}"
    if e.shape != g.shape:
        return f"{both}\n  shape {tuple(g.shape)} where {tuple(e.shape)} is right"
    gap = (e.double() - g.double()).abs()
    if bool((gap <= tolerance).all()):  # false for NaN too
        return ""
    worst = int(torch.nan_to_num(gap, nan=torch.inf).flatten().argmax())
    place = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), gap.shape))
    at = f" at index {place[0] if len(place) == 1 else place}" if place else ""
    return f"{both}\n  largest difference {gap.flatten()[worst].item():.4g}{at}"


def _plain(tensor: Tensor) -> bool:
    """Tell whether a tensor holds real numbers that can be read one by one."""
    odd = tensor.is_complex() or tensor.is_meta or tensor.is_quantized or tensor.is_nested
    return not odd and tensor.layout == torch.strided


def _show(value: object) -> str:
    if isinstance(value, Tensor) and _plain(value):
        text = str(value.detach().cpu().double().numpy().round(4).tolist())
        return text if len(text) <= 200 else f"{text[:200]} ... (shape {tuple(value.shape)})"
    text = _text(repr, value)
    return text if len(text) <= 200 else f"{text[:200]} ..."


def _text(write: Callable[[object], str], value: object) -> str:
    """Write a value of the reader's; the writing may fail too."""
    try:
        return write(value)
    except Exception:
        return f"an object of type {type(value).__name__} that cannot be shown"


def _show_arguments(arguments: tuple) -> str:
    return "\n".join(f"  argument {i}: {_show(a)}" for i, a in enumerate(arguments))
