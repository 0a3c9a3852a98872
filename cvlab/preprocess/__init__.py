"""What happens to a picture between its file and a network: ranges of values, resizing, padding, compression.

Written from scratch on torch; JPEG files are written and read by Pillow.
"""

from cvlab.preprocess.jpeg import dct_matrix, jpeg, jpeg_bytes, jpeg_reference, psnr, quantization_table
from cvlab.preprocess.letterbox import ResizeMap, letterbox, stretch
from cvlab.preprocess.resize import resize, resize_weights, spectrum, zone_plate
from cvlab.preprocess.scaling import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ChannelStats,
    denormalize,
    from_symmetric,
    normalize,
    to_symmetric,
)

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "ChannelStats",
    "ResizeMap",
    "dct_matrix",
    "denormalize",
    "from_symmetric",
    "jpeg",
    "jpeg_bytes",
    "jpeg_reference",
    "letterbox",
    "normalize",
    "psnr",
    "quantization_table",
    "resize",
    "resize_weights",
    "spectrum",
    "stretch",
    "to_symmetric",
    "zone_plate",
]
