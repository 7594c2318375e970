"""Find the parts of an SSD graph as the Object Detection API exports it, by structure and name.

Source: `ssd_meta_arch.py` and `faster_rcnn_box_coder.py` of the TensorFlow Object Detection API:
resize, (x * m - s), feature maps, concatenated heads, then a float decode that is cut off here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.importers.tensorflow.graphdef import Graph, Node, node_name
from edge.decode.boxes import BOX_SIDES
from edge.decode.ssd import SsdHead
from edge.errors import ModelError
from edge.model.description import InputTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Names of version 1; version 2 exports the same graph as a function, whose name stands before.
FEED = "Preprocessor/sub"
SCORE_ACTIVATION = "Postprocessor/convert_scores"
DECODE = "Postprocessor/Decode"
ANCHORS = f"{DECODE}/get_center_coordinates_and_sizes/transpose"


@dataclass(frozen=True, slots=True)
class Detector:
    """Where an SSD of the Object Detection API is cut, and what it says.

    Attributes:
        feed: Node of the normalised image.
        fetches: Output role to the tensor of the graph.
        head: What the outputs mean.
        transform: How a frame becomes the feed.
        anchors: `(A, 4)` float32, normalised centre-size (cy, cx, h, w).
    """

    feed: str
    fetches: dict[str, str]
    head: SsdHead
    transform: InputTransform
    anchors: NDArray[np.float32]


def find_detector(graph: Graph) -> Detector | None:
    """Recognise an SSD of the Object Detection API; `None` for a graph without its decode.

    Raises:
        ModelError: A part is missing; the message names what was expected.
    """
    marks = (SCORE_ACTIVATION, f"{DECODE}/transpose")
    found = next((name for name in graph.nodes if name.endswith(marks)), None)
    return None if found is None else find_ssd(graph, found[: found.index("Postprocessor/")])


def find_ssd(graph: Graph, prefix: str = "") -> Detector:
    """Return where to cut a graph whose nodes bear the API's names behind a prefix.

    Raises:
        ModelError: A part is missing; the message names what was expected.
    """
    scores, activation = _scores(graph, prefix)
    boxes = _source(
        graph, f"{prefix}{DECODE}/transpose", op="Reshape", what="the raw boxes behind the decode"
    )
    raw_boxes = graph.source(boxes)
    if raw_boxes is None:
        raise _missing("the raw boxes behind the decode", f"an input of {boxes.name}")
    return Detector(
        feed=f"{prefix}{FEED}",
        fetches={"boxes": f"{raw_boxes.name}:0", "scores": f"{scores.name}:0"},
        transform=_transform(graph, prefix),
        head=SsdHead(
            box_scales=_box_scales(graph, f"{prefix}{DECODE}/unstack"),
            activation=activation,
            background=True,
        ),
        anchors=_anchors(graph, f"{prefix}{ANCHORS}"),
    )


def _scores(graph: Graph, prefix: str) -> tuple[Node, Any]:
    node = _node(graph, f"{prefix}{SCORE_ACTIVATION}", "the score activation")
    raw = graph.source(node)
    if node.op == "Sigmoid" and raw is not None:
        return raw, "sigmoid"
    raise ModelError(
        f"the graph turns raw scores into probabilities with {node.op} ({node.name}), expected "
        "Sigmoid; only SSD models with independent class scores can be converted"
    )


def _transform(graph: Graph, prefix: str) -> InputTransform:
    sub = _node(graph, f"{prefix}{FEED}", "the input normalisation")
    mul = graph.source(sub)
    shift = _constant(graph, graph.source(sub, 1), f"the constant that {FEED} subtracts")
    if mul is None or mul.op != "Mul":
        raise _missing("the input normalisation", f"a Mul before {FEED}")
    factors = [_optional_constant(graph, graph.source(mul, side)) for side in (0, 1)]
    factor = next((value for value in factors if value is not None), None)
    if factor is None:
        raise _missing("the input normalisation", f"a constant factor in {mul.name}")
    # x * m - s = (x - s / m) / (1 / m); m is a float32, so its inverse is good to 6 digits.
    mean = _significant(float(shift.flat[0]) / float(factor.flat[0]))
    std = _significant(1 / float(factor.flat[0]))
    return InputTransform(
        size_wh=_size_wh(graph, f"{prefix}Preprocessor/"),
        color="rgb",
        mean=(mean, mean, mean),
        std=(std, std, std),
        resize="stretch",
    )


def _size_wh(graph: Graph, place: str) -> tuple[int, int]:
    for node in graph.nodes.values():
        if node.op == "ResizeBilinear" and node.name.startswith(place):
            height, width = _constant(graph, graph.source(node, 1), f"the size of {node.name}")
            return int(width), int(height)
    raise _missing("the input size", "a ResizeBilinear to a fixed size in Preprocessor/")


def _box_scales(graph: Graph, unpack: str) -> tuple[float, float, float, float]:
    """Return the divisors of ty, tx, th, tw: the constants that the decode's Unpack meets first."""
    scales: dict[int, float] = {}
    for node in graph.nodes.values():
        inputs = node.data_inputs()
        if not inputs or node_name(inputs[0]) != unpack or len(inputs) == 1:
            continue
        value = _optional_constant(graph, graph.producer(inputs[1]))
        if value is None or node.op not in ("Mul", "RealDiv"):
            continue
        divisor = float(value.flat[0]) if node.op == "RealDiv" else 1 / float(value.flat[0])
        scales[int(inputs[0].partition(":")[2] or 0)] = _significant(divisor)
    if sorted(scales) != list(range(BOX_SIDES)):
        raise _missing("the four box scales", f"four constant factors behind {unpack}")
    return scales[0], scales[1], scales[2], scales[3]


def _anchors(graph: Graph, name: str) -> NDArray[np.float32]:
    """Follow the decode's anchors back to the constant they are, and turn corners into centre-size.

    The exporter has folded the anchor generator: behind the Reshape and the Tile over the batch
    stands one constant `(1, A, 4)` (ymin, xmin, ymax, xmax), which depends on no image.
    """
    node: Node | None = _node(graph, name, "the anchors")
    while node is not None and node.op in ("Transpose", "Reshape", "Tile", "ExpandDims"):
        node = graph.source(node)
    corners = _constant(graph, node, "the anchors").reshape(-1, BOX_SIDES).astype(np.float64)
    low, high = corners[:, :2], corners[:, 2:]  # (A, 2) each: y, x
    return np.hstack([(low + high) / 2, high - low]).astype(np.float32)  # (A, 4)


def _node(graph: Graph, name: str, what: str) -> Node:
    if name not in graph.nodes:
        raise _missing(what, f"a node called {name}")
    return graph.nodes[name]


def _source(graph: Graph, name: str, *, op: str, what: str) -> Node:
    node = graph.source(_node(graph, name, what))
    if node is None or node.op != op:
        raise _missing(what, f"a {op} before {name}")
    return node


def _constant(graph: Graph, node: Node | None, what: str) -> NDArray[Any]:
    value = _optional_constant(graph, node)
    if value is None:
        raise _missing(what, "a constant")
    return value


def _optional_constant(graph: Graph, node: Node | None) -> NDArray[Any] | None:
    value = None if node is None else graph.constants.get(node.name)
    return value if value is not None and value.size else None


def _significant(value: float) -> float:
    return float(f"{value:.6g}")


def _missing(what: str, expected: str) -> ModelError:
    return ModelError(
        f"expected an SSD graph of the Object Detection API: {what} should be {expected}, "
        "found none; export the detector again, with the API's own exporter"
    )
