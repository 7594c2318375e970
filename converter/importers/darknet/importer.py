"""Import a Darknet detector: a `.cfg` and its `.weights`, YOLO v2 to v4 and their relatives."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from converter import import_check
from converter.coco_labels import COCO_LABELS
from converter.draft import check_channels
from converter.graph.building import Builder
from converter.graph.building_images import convolution
from converter.importers.darknet.layers import INPUT, Convolution, Head
from converter.importers.darknet.network import EPSILON, read_network, read_weights
from converter.importers.heads.decoding import Decode
from converter.importers.heads.fields import Fields, parts_of
from converter.importers.heads.yolo import found_at
from converter.jobs.child import job_folder
from edge.errors import ModelError
from edge.model.description import InputTransform

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.draft import Draft
    from converter.importers.darknet.network import Filters, Network, Version

FEED = "input"
# Source: `leaky_activate` of Darknet, src/activations.h.
LEAKY_SLOPE = 0.1
SIMPLE = {"relu": "RELU", "relu6": "RELU6", "logistic": "LOGISTIC", "tanh": "TANH"}
# OpenCV's own, also under the root. Source: `setBatchNorm`, modules/dnn/src/darknet/darknet_io.cpp.
OPENCV_EPSILON = 1e-6
# Source: `letterbox_image` of Darknet, src/image.c, fills with 0.5; a byte of it is 127.
LETTERBOX_GREY = 127
# The version that AlexeyAB's Darknet writes; pjreddie's writes 0.2.0.
# Source: `save_weights_upto` of both, src/parser.c.
STRETCHED_SINCE = (0, 2, 5)
# The classes that COCO used, in the order of coco.names.
COCO_USED_LABELS = tuple(label for label in COCO_LABELS if label)
# Weights of which is known with which masks they were trained, and that copies of their cfg are
# about with others: SHA-256 to masks, the coarse grid first.
TRAINED_MASKS = {
    # Official yolov3-tiny.weights. On 178 training images of COCO: mAP50 0.384, and 0.264 with the
    # mask 0, 1, 2 of most copies of yolov3-tiny.cfg.
    "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c": ((3, 4, 5), (1, 2, 3)),
}
CHANGES = (
    "batch normalisation folded; the convolution of each head split into boxes, objectness and "
    "scores; decode and suppression left to the runtime"
)


def import_darknet(cfg: Path, *, weights: Path | None = None) -> Draft:
    """Return a Darknet detector as a float graph with raw heads.

    Args:
        cfg: The network.
        weights: Its weights; the file beside the cfg with the suffix `.weights` if not given.

    Raises:
        ModelError: A file is missing, damaged, or holds what is not supported; or OpenCV gives
            other heads.
    """
    weights = weights or cfg.with_suffix(".weights")
    network = read_network(cfg)
    check_channels(network.channels, cfg)
    heads = [head for _, head in network.heads()]
    _check_heads(cfg, heads)
    version, filters = read_weights(weights, network)
    found = find_heads(network, filters)
    return replace(
        found,
        transform=_transform(network, version),
        labels=COCO_USED_LABELS if heads[0].classes == len(COCO_USED_LABELS) else None,
        changes=f"{CHANGES}; {_checked(found, network, weights)}",
        warnings=(*network.warnings, *_mask_warnings(network, weights, heads)),
    )


def _check_heads(cfg: Path, heads: list[Head]) -> None:
    if not heads:
        raise ModelError(
            f"{cfg}: expected a [yolo] or [region] section, found none; "
            "give the .cfg of a Darknet detector"
        )
    if len({(head.classes, head.sides, head.activation) for head in heads}) > 1:
        raise ModelError(
            f"{cfg}: expected heads that agree in classes and new_coords, found different ones; "
            "correct the cfg"
        )


def find_heads(network: Network, filters: dict[int, Filters]) -> Draft:
    """Return the graph of a network up to its heads, of which each part is an output."""
    builder = Builder({FEED: (1, *network.input_shape)})
    raw: dict[int, str] = {}
    made = {INPUT: FEED}
    for number, layer in enumerate(network.layers):
        operation, values = layer.operation, [made[source] for source in layer.sources]
        if isinstance(operation, Head):
            continue
        if isinstance(operation, Convolution):
            kernel, bias = filters[number]
            raw[number] = convolution(
                builder, values[0], kernel, bias=bias,
                window=operation.window, groups=operation.groups,
            )  # fmt: skip
        else:
            raw[number] = operation(builder, values)
        made[number] = _activated(builder, raw[number], layer.activation)
    heads = network.heads()
    names = [raw[layer.sources[0]] for layer, _ in heads]
    fields = Fields(
        parts=tuple(
            parts_of(name, layer.shape[2], anchors=len(head.mask))
            for name, (layer, head) in zip(names, heads, strict=True)
        ),
        sizes_hw=tuple(layer.shape[:2] for layer, _ in heads),
        input_wh=network.size_wh,
    )
    decode = Decode(
        "anchors",
        classes=heads[0][1].activation,
        anchors_px=tuple(head.anchors_px for _, head in heads),
        scales_xy=tuple(head.scale_xy for _, head in heads),
        sides=heads[0][1].sides,
    )
    return found_at(builder.graph(names), fields, decode)


def _activated(builder: Builder, value: str, activation: str) -> str:
    if activation in SIMPLE:
        return builder.unary(SIMPLE[activation], value)
    if activation == "leaky":
        return builder.unary("LEAKY_RELU", value, alpha=LEAKY_SLOPE)
    if activation == "swish":
        return builder.binary("MUL", value, builder.unary("LOGISTIC", value))
    return builder.mish(value) if activation == "mish" else value


def _checked(found: Draft, network: Network, weights: Path) -> str:
    """Return a clause for the manifest: how far from OpenCV's heads the model's are, or why not.

    Raises:
        ModelError: They are other heads.
    """
    name = f"OpenCV {cv2.__version__}"
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        return f"import not checked, as {name} reads no Darknet files (OpenCV before 5 does)"
    images = import_check.noise((1, *network.input_shape))
    try:
        rows = raw_heads(network, weights, images)
    except cv2.error:
        return f"import not checked, as {name} does not read this network"
    tensors = dict.fromkeys(tensor for tensor, _ in found.sources.values())
    heads = {
        tensor: np.stack(made)
        for tensor, made in zip(tensors, zip(*rows, strict=True), strict=True)
    }
    expected = {
        role: heads[tensor][..., channels] for role, (tensor, channels) in found.sources.items()
    }
    ratio = import_check.error_ratio(found.graph, images, expected, path=network.path)
    return import_check.in_words(ratio, name)


def raw_heads(
    network: Network, weights: Path, images: NDArray[np.float32]
) -> list[list[NDArray[np.float32]]]:
    """Return OpenCV's `(H, W, anchors * (5 + classes))` of each head for each `(H, W, C)` image.

    Every variance is given what Darknet's epsilon has more than OpenCV's.
    """
    data = bytearray(weights.read_bytes())
    numbers = np.frombuffer(data, "<f4", offset=len(data) - 4 * network.weights())
    for made in network.convolutions().values():
        if made.is_normalized:
            numbers[3 * made.kernel[0] : 4 * made.kernel[0]] += EPSILON - OPENCV_EPSILON
        numbers = numbers[made.weights() :]
    with job_folder() as folder:
        shifted = folder / "shifted.weights"
        shifted.write_bytes(data)
        read: Any = cv2.dnn.readNetFromDarknet  # type: ignore[attr-defined,unused-ignore]
        net = read(str(network.path), str(shifted))
    # OpenCV counts layers as the cfg does; the convolution before a head has no normalisation.
    names = [f"conv_{layer.sources[0]}" for layer, _ in network.heads()]
    rows = []
    for image in images:
        net.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
        rows.append([head[0].transpose(1, 2, 0) for head in net.forward(names)])
    return rows


def _transform(network: Network, version: Version) -> InputTransform:
    """Return how images become the input, as the program did that trained the weights.

    AlexeyAB's stretches unless `letter_box = 1`, pjreddie's letterboxes; measured on 178 training
    images of COCO, mAP50: Yolo-Fastest 1.1 of the former 0.284 stretched and 0.261 letterboxed,
    yolov3-tiny of the latter 0.363 and 0.384.
    Source: `test_detector` of both, src/detector.c and examples/detector.c.
    """
    letterbox = network.letterbox
    if letterbox is None:
        letterbox = version < STRETCHED_SINCE
    return InputTransform(
        size_wh=network.size_wh,
        color="rgb",
        mean=(0, 0, 0),
        std=(255, 255, 255),
        resize="letterbox" if letterbox else "stretch",
        padding=LETTERBOX_GREY,
    )


def _mask_warnings(network: Network, weights: Path, heads: list[Head]) -> list[str]:
    """Return a warning where the masks are not those of training, or look as if they were not."""
    masks = tuple(head.mask for head in heads)
    found = f"{network.path}: the masks are {_spelt(masks)}"
    trained = TRAINED_MASKS.get(hashlib.sha256(weights.read_bytes()).hexdigest())
    if trained is not None and trained != masks:
        reason = f"but {weights.name} was trained with {_spelt(trained)}"
        return [f"{found}, {reason}; correct 'mask' in its [yolo] sections, or boxes are wrong"]
    used = [number for mask in masks for number in mask]
    never = set(range(heads[0].total)) - set(used)
    if trained is not None or len(heads) == 1 or (len(set(used)) == len(used) and not never):
        return []
    reason = "which leave an anchor out or use it twice"
    return [f"{found}, {reason}; be sure that the weights were trained so, or boxes are wrong"]


def _spelt(masks: tuple[tuple[int, ...], ...]) -> str:
    return " and ".join(",".join(map(str, mask)) for mask in masks)
