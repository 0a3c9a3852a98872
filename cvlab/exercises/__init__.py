"""Checks for readers' answers: `exercises.check("box_iou", my_function)`.

The reader's function is tried beside the reference on made-up and on awkward inputs; what comes back says on which
input it differs, and by how much. A check never raises, so a notebook with open exercises still runs to its end.
"""

from cvlab.exercises.check import Verdict, check, names

__all__ = ["Verdict", "check", "names"]
