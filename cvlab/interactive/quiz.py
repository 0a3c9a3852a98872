"""Multiple-choice questions whose every option explains itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure

_FOLDER = Path(__file__).parent / "quizzes"


def quiz(questions: str | Sequence[dict[str, Any]], *, title: str | None = None) -> StaticFigure:
    """Make a quiz with immediate feedback, an explanation for every option, and a score at the end.

    Args:
        questions: the name of a quiz that comes with the package (a file `quizzes/NAME.json`), or the questions
            themselves: dictionaries `{"question": str, "options": [{"text": str, "correct": bool, "why": str}, ...]}`
            with two to six options, of which exactly one is correct. Backticks mark code.
        title: the line above the quiz; without one, the file's.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: if there is no such quiz, or a question lacks something; the message says which.

    Notes:
        A file holds `{"title": str, "questions": [...]}`, with the questions as above.

    Example:
        >>> quiz([{"question": "Is the IoU of a box with itself 1?", "options": [
        ...     {"text": "Yes", "correct": True, "why": "Intersection and union are the box."},
        ...     {"text": "No", "correct": False, "why": "Look at the definition."}]}])
        <interactive figure: quiz>
    """
    if isinstance(questions, str):
        content = _load(questions)
        title, questions = title or content["title"], content["questions"]
    if not isinstance(questions, Sequence):
        raise InputError(f"quiz: questions must be the name of a quiz or a list of questions, got {questions!r}")
    checked = [_question(i, entry) for i, entry in enumerate(questions)]
    if not checked:
        raise InputError("quiz: there must be one question or more, got none")
    listed = " ".join(f"{i}. {entry['question']}" for i, entry in enumerate(checked, start=1))
    return StaticFigure("quiz", f"A quiz. {listed}", title=title or "What have you kept?", questions=checked)


def _load(name: str) -> dict[str, Any]:
    path = _FOLDER / f"{name}.json"
    if not path.is_file():
        raise InputError(
            f"quiz: name must be one of {sorted(file.stem for file in _FOLDER.glob('*.json'))}, got {name!r}"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def _question(i: int, entry: Any) -> dict[str, Any]:
    """Return question `i` with nothing but what the figure shows."""
    try:
        options = [
            {"text": str(option["text"]), "correct": option["correct"], "why": str(option["why"])}
            for option in entry["options"]
        ]
        checked = {"question": str(entry["question"]), "options": options}
    except (KeyError, TypeError) as error:
        raise InputError(
            f"quiz: question {i} must have question and options (text, correct, why): {error!r}"
        ) from error
    for option in options:
        if not isinstance(option["correct"], bool):
            raise InputError(f"quiz: question {i} must have correct True or False, got {option['correct']!r}")
    correct = sum(option["correct"] for option in options)
    if not 2 <= len(options) <= 6 or correct != 1:
        raise InputError(
            f"quiz: question {i} must have 2 to 6 options, exactly one correct; "
            f"got {len(options)} options, {correct} correct"
        )
    return checked
