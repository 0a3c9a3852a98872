"""Pictures of images, boxes, masks, keypoints and matrices, drawn with matplotlib.

Every function returns matplotlib Axes, so a chapter or a user can go on drawing. A box mark is never ambiguous: roles
(truth, prediction, anchor, ignored, reader) have the colours of the book, classes have colours of their own.
Positions are absolute pixels with the origin at the top left corner of the top left pixel: pixel (0, 0) covers
the square from (0, 0) to (1, 1), and the box (0, 0, width, height) frames the whole picture.
"""

from cvlab._palette import ROLES
from cvlab.plot.areas import heatmap, masks
from cvlab.plot.marks import boxes, keypoints
from cvlab.plot.output import show, style
from cvlab.plot.pictures import grid, image

__all__ = ["ROLES", "boxes", "grid", "heatmap", "image", "keypoints", "masks", "show", "style"]
