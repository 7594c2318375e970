"""Take a model's own normalisation out of its graph, as far as it is understood.

What a graph does to the image first, a swap of channels and ``x * a + b`` per channel, becomes the
transform of the manifest: the board does it in the 256-entry table that it fills the input with
anyway. Numbers that are no pixels' (the mean 0.485 of images in 0..1) join there with what the
person says of those. What is not understood stays in the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from converter.choice import InputChoice
from converter.graph.edits import cut

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.graph.values import Graph, Op
    from edge.model.description import InputTransform

    Numbers = NDArray[np.float64]

# An image in 0..1 has neither a std nor a mean above this; one of pixel values has one of them.
MAX_UNIT = 2.0
AXES, CHANNEL_AXES = 4, (-1, 3)


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What a graph does to its image before anything else, ``image * scale + shift``.

    Attributes:
        tensor: What comes of it.
        scale: `(C,)` float64, > 0, in the order of the channels of `tensor`.
        shift: Likewise.
        is_swapped: Whether `tensor` has the channels in the other order.
    """

    tensor: str
    scale: Numbers
    shift: Numbers
    is_swapped: bool = False

    @property
    def is_of_pixels(self) -> bool:
        """Whether the image is one of pixel values 0..255, by what becomes of it."""
        return bool(
            (1 / self.scale).min() > MAX_UNIT or (-self.shift / self.scale).max() > MAX_UNIT
        )

    @property
    def is_plain(self) -> bool:
        """Whether the numbers are those of the image."""
        return bool((self.scale == 1).all() and not self.shift.any())


def without_normalisation(graph: Graph) -> tuple[Graph, InputChoice | None]:
    """Return the graph behind its own normalisation, and that; `None` if nothing was taken out.

    Args:
        graph: With one input, an image `(1, H, W, C)`.
    """
    found = find_normalisation(graph)
    if found is None:
        return graph, None
    outputs = {name: name for name in graph.outputs}
    part = cut(graph, outputs, inputs={graph.inputs[0]: found.tensor})
    if found.is_plain:
        return part, InputChoice(swapped=found.is_swapped)
    mean, std = _triple(-found.shift / found.scale), _triple(1 / found.scale)
    if found.is_of_pixels:
        return part, InputChoice(mean=mean, std=std, swapped=found.is_swapped)
    return part, InputChoice(after=(mean, std), swapped=found.is_swapped)


def find_normalisation(graph: Graph) -> Normalisation | None:
    """Return the longest normalisation that is understood; `None` without any."""
    (entry,) = graph.inputs
    channels = graph.shape(entry)[-1]
    found = Normalisation(entry, np.ones(channels), np.zeros(channels))
    taken = found
    while (op := graph.sole_reader(found.tensor)) is not None:
        step = _behind(graph, op, found)
        if step is None or not (np.isfinite(step.shift).all() and (step.scale > 0).all()):
            break
        found = step
        tensor = graph.tensors[found.tensor]
        if tensor.shape == graph.shape(entry) and tensor.dtype == "float32":
            taken = found
    return None if taken.tensor == entry else taken


def _behind(graph: Graph, op: Op, before: Normalisation) -> Normalisation | None:
    """Return what is known behind one more op; `None` if it is anything else."""
    if op.kind in ("MUL", "DIV", "ADD", "SUB") and op.activation == "NONE":
        return _affine(graph, op, before)
    if _is_of_the_same_numbers(graph, op, before):
        return replace(before, tensor=op.output)
    if _swaps_channels(graph, op):
        return Normalisation(
            op.output, before.scale[::-1], before.shift[::-1], not before.is_swapped
        )
    return None


def _affine(graph: Graph, op: Op, before: Normalisation) -> Normalisation | None:
    left, right = op.inputs
    other = right if left == before.tensor else left
    value = graph.value(other)
    is_vector = value is not None and value.size in (1, (value.shape or (1,))[-1])
    if value is None or not is_vector or value.size not in (1, before.scale.size):
        return None
    if op.kind in ("SUB", "DIV") and left != before.tensor:
        return None
    number = np.broadcast_to(value.astype(np.float64).reshape(-1), before.scale.shape)
    if op.kind in ("MUL", "DIV"):
        if op.kind == "DIV" and not number.all():
            return None
        factor = number if op.kind == "MUL" else 1 / number
        scale, shift = before.scale * factor, before.shift * factor
    else:
        scale, shift = before.scale, before.shift + (number if op.kind == "ADD" else -number)
    return Normalisation(op.output, scale, shift, before.is_swapped)


def _is_of_the_same_numbers(graph: Graph, op: Op, before: Normalisation) -> bool:
    """Return whether an op gives the numbers that it reads, pixel by pixel."""
    if op.kind == "CAST":  # pixels are whole numbers in 0..255
        return before.is_plain
    shapes = (graph.shape(op.inputs[0]), graph.shape(op.output))
    rows, columns = ([side for side in shape if side != 1] for shape in shapes)
    is_moved = op.kind in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS") and rows == columns
    return is_moved and shapes[0][-1] == shapes[1][-1]


def _swaps_channels(graph: Graph, op: Op) -> bool:
    """Return whether an op turns R G B into B G R and nothing else."""
    shape = graph.shape(op.output)
    if len(shape) != AXES or shape != graph.shape(op.inputs[0]) or shape[-1] == 1:
        return False
    values = [graph.value(name) for name in op.inputs[1:]]
    if op.kind == "REVERSE_V2":
        return values[0] is not None and values[0].reshape(-1).tolist() in [[3], [-1]]
    if op.kind == "GATHER":
        indices = values[0]
        last = shape[-1] - 1
        return (
            op.options["axis"] in CHANNEL_AXES
            and indices is not None
            and indices.reshape(-1).tolist() == list(range(last, -1, -1))
        )
    if op.kind == "STRIDED_SLICE":
        # Of the same shape as what it reads, so that with these steps it takes all of it.
        return values[2] is not None and values[2].tolist() == [1, 1, 1, -1]
    return False


def _triple(values: Numbers) -> tuple[float, float, float]:
    # The constants are float32: 6 digits are theirs, and no -0. Of grey the one number is repeated.
    numbers = [float(f"{value:.6g}") + 0.0 for value in values]
    return (numbers * 3)[0], (numbers * 3)[1], (numbers * 3)[2]


def normalised(
    images: NDArray[np.float32], own: InputTransform | InputChoice | None
) -> NDArray[np.float32]:
    """Return what a graph behind its own normalisation wants of `(N, H, W, C)` images."""
    if own is None:
        return images
    if isinstance(own, InputChoice) and own.swapped:
        images = images[..., ::-1]
    numbers = (isinstance(own, InputChoice) and own.after) or (own.mean, own.std)
    channels = int(images.shape[-1])
    mean, std = (np.array(values[:channels]) if values else None for values in numbers)
    if mean is None or std is None:
        return np.ascontiguousarray(images)
    return np.asarray((images - mean) / std, np.float32)
