"""What a report writes down while it reads a data set: pictures, problems and notes."""

from __future__ import annotations

from dataclasses import dataclass, field

from cvlab.data.checks import Problem


@dataclass(frozen=True)
class Picture:
    """What is kept of an image that could be read.

    Attributes:
        split: The split's name.
        where: The file below the folder, or the item, such as "train[12]".
        size: (height, width), pixels.
        content: Its `content_hash`.
        look: Its `dhash`.
        labels: The name of each object's class, or of the one class of the picture.
        box_sides: The square root of each sound box's area, pixels; None where the target has no boxes.
        mode: Pillow's mode of the file, such as "RGB"; empty for items of data sets.
    """

    split: str
    where: str
    size: tuple[int, int]
    content: str
    look: int
    labels: tuple[str, ...]
    box_sides: tuple[float, ...] | None = None
    mode: str = ""


@dataclass
class Findings:
    """What was found: pictures, problems, and notes on what is no fault but worth knowing."""

    splits: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def problem(self, kind: str, where: str, what: str) -> None:
        """Write down a fault."""
        self.problems.append(Problem(kind, (where,), what))

    def note(self, kind: str, where: str, what: str) -> None:
        """Write down something worth knowing."""
        self.notes.append(Problem(kind, (where,), what))
