"""Where an SSD's anchors lie at another input: where its maps look, as far from there as before.

A cell of a map looks at one place of the picture, the middle of its receptive field. Padding `SAME`
puts that place elsewhere for an odd size than for an even one, half a step in each strided layer.
What the net tells of a box is how far it lies from there; so anchors go along with these places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.graph.values import ABSENT
from converter.prune.tracing import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from converter.graph.values import Graph, Op

    Shape = tuple[int, ...]
    Place = NDArray[np.float64]  # (2, 2): rows y and x; step and first middle, pixels

IMAGE = 4
BOX = 4
TOLERANCE = 1e-4  # of an anchor, as a part of the picture


def moved(
    anchors: NDArray[np.float32], graphs: tuple[Graph, Graph], boxes: str
) -> NDArray[np.float32] | None:
    """Return a detector's anchors at another input.

    Their sides stay in pixels: the net multiplies them by what it makes of pixels.

    Args:
        anchors: `(A, 4)` of the first graph: centres and sides, rows first, parts of the picture.
        graphs: As it was, and at the other input.
        boxes: The tensor of the encoded boxes.

    Returns:
        `(A', 4)`; `None` where they lie in the middle of no cells.
    """
    names = _maps(graphs[0], boxes)
    old, new = (np.array(graph.shape(graph.inputs[0])[1:3]) for graph in graphs)
    shapes = [tuple(graph.shape(name) for name in names) for graph in graphs]
    places = [_places(graph, names) for graph in graphs]
    plain, found = [], []
    start = 0
    for was, now, at, to in zip(*shapes, *places, strict=True):
        rows = was[1] * was[2] * was[3] // BOX
        sides = anchors[start : start + rows].reshape(was[1] * was[2], -1, BOX)[0, :, 2:]
        start += rows
        middles = [(np.arange(count) + 0.5) / count for count in was[1:3]]
        plain.append(_grid(middles, sides))
        off = [
            first + step * np.arange(count) - middle * side
            for (step, first), count, middle, side in zip(at, was[1:3], middles, old, strict=True)
        ]
        centres = [
            (first + step * np.arange(count) - _spread(each, count)) / side
            for (step, first), count, each, side in zip(to, now[1:3], off, new, strict=True)
        ]
        found.append(_grid(centres, sides * (old / new)))
    if not np.allclose(np.concatenate(plain), anchors, atol=TOLERANCE):
        return None
    return np.concatenate(found).astype(np.float32)


def _grid(centres: list[NDArray[np.float64]], sides: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return anchors of these sides at each place of a grid: `(A, 4)`."""
    grid = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    places = np.repeat(grid, len(sides), axis=1)
    return np.concatenate([places, np.broadcast_to(sides, places.shape)], axis=-1).reshape(-1, BOX)


def _spread(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return values along a side for another number of cells, the ends where they were."""
    if count == 1:
        return np.array([values.mean()])
    return np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(values)), values)


def _maps(graph: Graph, name: str) -> list[str]:
    """Return the maps of boxes that are flattened and joined into an output, in their order."""
    op = graph.producers[name]
    if op.kind == "CONCATENATION":
        return [found for part in op.inputs for found in _maps(graph, part)]
    before = graph.producers.get(op.inputs[0])
    if op.kind == "RESHAPE" and before and before.kind in {"RESHAPE", "CONCATENATION"}:
        return _maps(graph, op.inputs[0])
    return [op.inputs[0] if op.kind == "RESHAPE" else name]


def _places(graph: Graph, names: list[str]) -> list[Place]:
    """Return where the cells of maps look: cell `i` at `first + step * i`, pixels of the input.

    Source: Araujo et al. 2019, "Computing Receptive Fields of Convolutional Neural Networks".
    """
    (image,) = graph.inputs
    found = {image: np.array([[1.0, 0.5], [1.0, 0.5]])}
    for op in graph.ops:
        source = next((name for name in op.inputs if name != ABSENT and name in found), None)
        if source is None or len(graph.shape(op.output)) != IMAGE:
            continue
        rows = [
            (step * stride, first + step * by)
            for (step, first), (stride, by) in zip(
                found[source], _window(graph, op, source), strict=True
            )
        ]
        found |= {output: np.array(rows) for output in op.outputs}
    return [found[name] for name in names]


def _window(graph: Graph, op: Op, source: str) -> Iterator[tuple[float, float]]:
    """Yield an op's stride, and where its first window's middle lies, in cells of what it reads."""
    sides = zip(graph.shape(source)[1:3], graph.shape(op.output)[1:3], strict=True)
    pads = numbers(graph, op.inputs[1]) if op.kind in {"PAD", "PADV2"} else None
    for axis, (before, after) in enumerate(sides):
        letter, word = (("H", "Height"), ("W", "Width"))[axis]
        if pads is not None:
            yield 1.0, float(-pads[2 * (axis + 1)])
        elif op.kind.endswith(("CONV_2D", "POOL_2D")) and op.kind != "TRANSPOSE_CONV":
            stride = op.options.get(f"stride{letter}", 1)
            reach = op.options.get(f"filter{word}") or graph.shape(op.inputs[1])[axis + 1]
            reach = (reach - 1) * op.options.get(f"dilation{letter}Factor", 1)
            room = max((after - 1) * stride + reach + 1 - before, 0)
            yield stride, reach / 2 - (room // 2 if op.options.get("padding") == "SAME" else 0)
        else:  # one to one; a resize, by the middles of its cells
            yield before / after, (before / after - 1) / 2
