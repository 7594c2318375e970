"""Keys of a Darknet `.cfg` that change nothing after training, and those that must be neutral."""

from __future__ import annotations

# Source: the `option_find` calls of Darknet's src/parser.c; each is read only while training, for
# the learning rate, the loss or the augmentation, or on a GPU for its streams.
TRAINING = frozenset(
    [
        "absolute", "adversarial_lr", "angle", "assisted_excitation", "beta_nms", "bias_match",
        "class_scale", "cls_normalizer", "coord_scale", "counters_per_class",
        "delta_normalizer", "dets_for_show", "dets_for_track", "dontsave", "dot", "dropblock",
        "dropblock_size_abs", "dropblock_size_rel", "embedding_layer", "focal_loss", "grad_centr",
        "ignore_thresh", "iou_loss", "iou_normalizer", "iou_thresh", "iou_thresh_kind", "jitter",
        "label_smooth_eps", "learning_rate", "log", "mask_scale", "max", "max_delta",
        "new_lr", "nms_kind", "noobject_scale", "obj_normalizer",
        "object_scale", "objectness_smooth", "onlyforward", "probability", "random", "rescore",
        "resize", "reverse_grad", "show_details", "sim_thresh", "sqrt", "stopbackward", "stream",
        "thresh", "track_ciou_norm", "track_history_size", "truth_thresh", "wait_stream",
    ]
)  # fmt: skip
# A convolution that any of these changes is another operation, or has other weights.
CONVOLUTION_ONLY = {
    "antialiasing": "0",
    "bin_output": "0",
    "binary": "0",
    "cbn": "0",
    "coordconv": "0",
    "dilation": "1",
    "dontload": "0",
    "dontloadscales": "0",
    "flipped": "0",
    "reverse": "0",
    "rotate": "0",
    "share_index": "-1000000000",
    "stretch": "0",
    "stretch_sway": "0",
    "sway": "0",
    "xnor": "0",
}
