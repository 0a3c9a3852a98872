"""Interactive figures that work in the static page, in JupyterLab and in Colab, without a kernel.

Each function checks its data and returns a `StaticFigure`; a notebook shows it as the last line of a cell.
"""

from cvlab.interactive.anchors import anchors
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.iou import iou
from cvlab.interactive.matching import matching
from cvlab.interactive.nms import nms
from cvlab.interactive.quiz import quiz

__all__ = ["StaticFigure", "anchors", "iou", "matching", "nms", "quiz"]
