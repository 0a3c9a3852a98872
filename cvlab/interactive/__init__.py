"""Interactive figures that work in the static page, in JupyterLab and in Colab, without a kernel.

Each function checks its data and returns a `StaticFigure`; a notebook shows it as the last line of a cell.
"""

from cvlab.interactive.anchors import anchors
from cvlab.interactive.augmentation import augmentation
from cvlab.interactive.before_after import before_after
from cvlab.interactive.bit_width import bit_width
from cvlab.interactive.checkerboard import checkerboard
from cvlab.interactive.class_weights import class_weights
from cvlab.interactive.conv_matrix import conv_matrix
from cvlab.interactive.detect_and_paint import detect_and_paint
from cvlab.interactive.device_table import device_table
from cvlab.interactive.drawing_pad import drawing_pad
from cvlab.interactive.feature_maps import feature_maps
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.gram import gram
from cvlab.interactive.grouping import grouping
from cvlab.interactive.iou import iou
from cvlab.interactive.letterbox import letterbox
from cvlab.interactive.mask_head import mask_head
from cvlab.interactive.mask_jpeg import mask_jpeg
from cvlab.interactive.matching import matching
from cvlab.interactive.mixing import mixing
from cvlab.interactive.multiplier import multiplier
from cvlab.interactive.nms import nms
from cvlab.interactive.number_line import number_line
from cvlab.interactive.overlay import overlay
from cvlab.interactive.proposals import proposals
from cvlab.interactive.quiz import quiz
from cvlab.interactive.roi import roi
from cvlab.interactive.style_grid import style_grid
from cvlab.interactive.style_steps import style_steps
from cvlab.interactive.thresholds import thresholds
from cvlab.interactive.tiles import tiles
from cvlab.interactive.training import training
from cvlab.interactive.trans_conv import trans_conv
from cvlab.interactive.upsampling_path import upsampling_path

__all__ = [
    "StaticFigure",
    "anchors",
    "augmentation",
    "before_after",
    "bit_width",
    "checkerboard",
    "class_weights",
    "conv_matrix",
    "detect_and_paint",
    "device_table",
    "drawing_pad",
    "feature_maps",
    "gram",
    "grouping",
    "iou",
    "letterbox",
    "mask_head",
    "mask_jpeg",
    "matching",
    "mixing",
    "multiplier",
    "nms",
    "number_line",
    "overlay",
    "proposals",
    "quiz",
    "roi",
    "style_grid",
    "style_steps",
    "thresholds",
    "tiles",
    "training",
    "trans_conv",
    "upsampling_path",
]
