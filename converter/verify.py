"""Compare quantised models with their float model, through the runtime's own path."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from converter.agreement import agree
from converter.bill import Bill, HeadRow
from converter.sight import Sight
from edge.capture.images import load_image
from edge.decode.segmentation import SegmentationHead
from edge.decode.ssd import SsdHead
from edge.decode.yolo import YoloHead
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.bill import ImageRow
    from converter.sight import Look
    from edge.model.description import HeadSchema
    from edge.model.model_file import ModelFile
    from edge.model.spec import ModelSpec
    from edge.terminal.progress import Progress


def compare(
    reference: ModelFile,
    quantized: ModelFile,
    images: Sequence[Path],
    *,
    progress: Progress | None = None,
) -> Bill:
    """Run both models on the images and return the bill, without labels.

    Raises:
        ModelError: The models have different heads.
        SourceError: An image cannot be read.
    """
    (bill,) = compare_all(reference, [quantized], images, progress=progress)
    return bill


def compare_all(
    reference: ModelFile,
    others: Sequence[ModelFile],
    images: Sequence[Path],
    *,
    progress: Progress | None = None,
) -> list[Bill]:
    """Run several models made of one float model on the same images; return the bill of each.

    The float model runs once an image, however many there are.

    Raises:
        ModelError: The models have different heads.
        SourceError: An image cannot be read.
    """
    first = Sight(reference)
    comparisons = [_Comparison(first.spec, Sight(other)) for other in others]
    for done, path in enumerate(images, start=1):
        image = load_image(path)
        wanted = first.look(image)
        for comparison in comparisons:
            comparison.add(path, image, wanted)
        if progress:
            progress(done, len(images))
    return [
        Bill(
            head=reference.description.head.kind,
            float_bytes=len(reference.flatbuffer),
            quantized_bytes=len(other.flatbuffer),
            heads=tuple(comparison.head_rows()),
            images=tuple(comparison.images),
        )
        for other, comparison in zip(others, comparisons, strict=True)
    ]


class _Comparison:
    """One model's differences from the float model, summed over images."""

    def __init__(self, reference: ModelSpec, quantized: Sight) -> None:
        self._quantized = quantized
        self._sums = {
            role: _Sums(floor=_floor(role, quantized.spec))
            for role in _shared_roles(reference, quantized.spec)
        }
        self.images: list[ImageRow] = []

    def add(self, path: Path, image: NDArray[np.uint8], wanted: Look) -> None:
        found = self._quantized.look(image)
        for role, total in self._sums.items():
            total.add(wanted.heads[role], found.heads[role])
        self.images.append(agree(path, wanted.seen, found.seen))

    def head_rows(self) -> Iterator[HeadRow]:
        return (total.row(role) for role, total in self._sums.items())


class _Sums:
    """Running sums of one output over images.

    Args:
        floor: Values below it count as it.
    """

    def __init__(self, *, floor: float) -> None:
        self._floor = floor
        self._float = self._quantized = self._product = self._noise = self._max = 0.0

    def add(self, reference: NDArray[np.float32], quantized: NDArray[np.float32]) -> None:
        """Add one image's head, both dequantised."""
        a = np.maximum(reference, self._floor).astype(np.float64)
        b = quantized.astype(np.float64)
        self._float += float((a * a).sum())
        self._quantized += float((b * b).sum())
        self._product += float((a * b).sum())
        self._noise += float(((a - b) ** 2).sum())
        self._max = max(self._max, float(np.abs(a - b).max(initial=0.0)))

    def row(self, role: str) -> HeadRow:
        """Return the figures."""
        norm = math.sqrt(self._float * self._quantized)
        cosine = self._product / norm if norm else 1.0
        snr = (
            10 * math.log10(self._float / self._noise) if self._noise and self._float else math.inf
        )
        return HeadRow(role, cosine, snr, self._max)


def _shared_roles(first: ModelSpec, second: ModelSpec) -> list[str]:
    """Return the roles whose values can be compared: class ids have no near and far."""
    shapes = [
        {role: spec.shape for role, spec in outputs.items()}
        for outputs in (first.outputs, second.outputs)
    ]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"expected two models with the same outputs, found {shapes[0]} and {shapes[1]}; "
            "give a float model and the one that was made of it"
        )
    head = first.description.head
    if isinstance(head, SegmentationHead) and head.activation == "argmax":
        return []
    return sorted(shapes[0])


def _floor(role: str, quantized: ModelSpec) -> float:
    """Return the least raw score that the quantised head can say; other outputs have no floor.

    A recipe saturates raw scores on purpose where no threshold will ever tell them apart.
    """
    spec = quantized.outputs[role]
    if role not in _score_roles(quantized.description.head) or spec.dtype.kind == "f":
        return -math.inf
    return (int(np.iinfo(spec.dtype).min) - spec.quant.zero_point) * spec.quant.scale


def _score_roles(head: HeadSchema) -> set[str]:
    """Return the roles that hold nothing but raw scores."""
    if isinstance(head, SegmentationHead):
        return set()
    if isinstance(head, SsdHead):
        return {"scores"}
    grids = getattr(head, "grids", ())
    found = {grid.scores for grid in grids}
    if isinstance(head, YoloHead):
        found |= {grid.objectness for grid in grids}
    return found - {grid.boxes for grid in grids}
