"""Import a Darknet detector: a `.cfg` and its `.weights`, YOLO v2 to v4 and their relatives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.coco_labels import COCO_LABELS
from converter.draft import Draft, check_channels
from converter.graph.writing import write
from converter.importers import darknet_opencv
from converter.importers.darknet_graph import build_graph, roles
from converter.importers.darknet_network import read_network
from converter.importers.darknet_weights import read_weights
from edge.decode.yolo import YoloGrid, YoloHead
from edge.errors import ModelError
from edge.model.description import InputTransform

if TYPE_CHECKING:
    from pathlib import Path

    from converter.graph.values import Graph
    from converter.importers.darknet_layers import Head, Network

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


@dataclass(frozen=True, slots=True)
class DarknetModel:
    """A Darknet detector as a graph.

    Attributes:
        graph: Ends at the raw heads, its outputs named by their roles.
        network: What the cfg says.
        warnings: Sentences for the person who converts.
    """

    graph: Graph
    network: Network
    transform: InputTransform
    head: YoloHead
    labels: tuple[str, ...] | None
    warnings: tuple[str, ...]


def import_darknet(cfg: Path, *, weights: Path | None = None) -> Draft:
    """Return a Darknet detector as a float `.tflite` with raw heads.

    Args:
        cfg: The network.
        weights: Its weights; the file beside the cfg with the suffix `.weights` if not given.

    Raises:
        ModelError: A file is missing, damaged, or holds what is not supported; or OpenCV gives
            other heads.
    """
    model = read(cfg, weights=weights)
    flatbuffer = write(model.graph)
    checked = darknet_opencv.checked(flatbuffer, model.network, _weights_path(cfg, weights))
    return Draft(
        flatbuffer=flatbuffer,
        size_wh=model.transform.size_wh,
        head=model.head,
        outputs={role: role for role in model.graph.outputs},
        transform=model.transform,
        labels=model.labels,
        changes=f"{CHANGES}; {checked}",
        warnings=model.warnings,
    )


def read(cfg: Path, *, weights: Path | None = None) -> DarknetModel:
    """Return a Darknet detector as a graph.

    Raises:
        ModelError: As for `import_darknet`.
    """
    network = read_network(cfg)
    check_channels(network.channels, cfg)
    heads = [head for _, head in network.heads()]
    _check_heads(cfg, heads)
    path = _weights_path(cfg, weights)
    stored = read_weights(path, network)
    return DarknetModel(
        graph=build_graph(network, stored.filters),
        network=network,
        transform=_transform(network, stored.version),
        head=_yolo_head(heads),
        labels=COCO_USED_LABELS if heads[0].classes == len(COCO_USED_LABELS) else None,
        warnings=(*network.warnings, *_mask_warnings(network, path, heads)),
    )


def _weights_path(cfg: Path, weights: Path | None) -> Path:
    return weights or cfg.with_suffix(".weights")


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


def _yolo_head(heads: list[Head]) -> YoloHead:
    grids = []
    for number, head in enumerate(heads):
        boxes, objectness, scores = roles(number)
        grids.append(
            YoloGrid(
                boxes=boxes,
                objectness=objectness,
                scores=scores,
                anchors_px=head.anchors_px,
                scale_xy=head.scale_xy,
            )
        )
    return YoloHead(grids=tuple(grids), sides=heads[0].sides, classes=heads[0].activation)


def _transform(network: Network, version: tuple[int, int, int]) -> InputTransform:
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
