"""Operations of detection as pure functions on tensors, with the names and meaning of `torchvision.ops`.

Written from scratch on torch alone. Each module says where it differs from torchvision.
"""

from cvlab.ops.anchors import AnchorGenerator, grid_anchors
from cvlab.ops.boxes import box_area, box_convert, clip_boxes_to_image, masks_to_boxes, remove_small_boxes
from cvlab.ops.iou import box_iou, complete_box_iou, distance_box_iou, generalized_box_iou
from cvlab.ops.masks import mask_iou, mask_targets, paste_mask_reference, paste_masks
from cvlab.ops.matching import (
    DetectionTargets,
    MatchStep,
    detection_targets,
    match_argmax,
    match_bipartite,
    match_bipartite_reference,
    match_bipartite_steps,
    pad_targets,
)
from cvlab.ops.nms import batched_nms, nms, nms_reference
from cvlab.ops.offsets import decode_boxes, encode_boxes
from cvlab.ops.onnx import onnx_translations
from cvlab.ops.polygons import polygons_to_mask
from cvlab.ops.rle import (
    pack_counts,
    rle_area,
    rle_decode,
    rle_encode,
    rle_iou,
    rle_to_box,
    run_lengths,
    unpack_counts,
)
from cvlab.ops.roi import (
    assign_levels,
    multiscale_roi_align,
    roi_align,
    roi_align_points,
    roi_pool,
    roi_pool_bins,
)
from cvlab.ops.roi_reference import bilinear_sample, roi_align_reference, roi_pool_reference
from cvlab.ops.sampling import sample_balanced
from cvlab.ops.soft_nms import soft_nms
from cvlab.ops.tiling import predict_tiles, tile_starts, tile_weights, tile_window, with_flips
from cvlab.ops.transposed import conv_out_size, output_padding_for, trans_conv, trans_conv_out_size
from cvlab.ops.transposed_reference import (
    conv_matrix,
    insert_zeros,
    trans_conv_as_conv,
    trans_conv_as_matrix,
    trans_conv_reference,
)
from cvlab.ops.upsample import (
    bilinear_kernel,
    bilinear_size,
    icnr_,
    max_unpool,
    overlap_counts,
    pixel_shuffle,
    pixel_unshuffle,
)

__all__ = [
    "bilinear_kernel",
    "bilinear_size",
    "conv_matrix",
    "conv_out_size",
    "icnr_",
    "insert_zeros",
    "max_unpool",
    "output_padding_for",
    "overlap_counts",
    "pixel_shuffle",
    "pixel_unshuffle",
    "trans_conv",
    "trans_conv_as_conv",
    "trans_conv_as_matrix",
    "trans_conv_out_size",
    "trans_conv_reference",
    "polygons_to_mask",
    "pack_counts",
    "rle_area",
    "rle_decode",
    "rle_encode",
    "rle_iou",
    "rle_to_box",
    "run_lengths",
    "unpack_counts",
    "mask_iou",
    "mask_targets",
    "paste_mask_reference",
    "paste_masks",
    "assign_levels",
    "multiscale_roi_align",
    "roi_align",
    "roi_align_points",
    "roi_pool",
    "roi_pool_bins",
    "bilinear_sample",
    "roi_align_reference",
    "roi_pool_reference",
    "AnchorGenerator",
    "DetectionTargets",
    "MatchStep",
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "complete_box_iou",
    "decode_boxes",
    "detection_targets",
    "distance_box_iou",
    "encode_boxes",
    "generalized_box_iou",
    "grid_anchors",
    "masks_to_boxes",
    "match_argmax",
    "match_bipartite",
    "match_bipartite_reference",
    "match_bipartite_steps",
    "nms",
    "nms_reference",
    "onnx_translations",
    "pad_targets",
    "remove_small_boxes",
    "sample_balanced",
    "soft_nms",
    "predict_tiles",
    "tile_starts",
    "tile_weights",
    "tile_window",
    "with_flips",
]
