"""Compare models with the one that they were made of, through the runtime's own path."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converter.judge.agreement import match
from converter.judge.bill import Bill, HeadRow, Likeness
from converter.judge.sight import DIAGONALS, Sight
from converter.quantize.scores import score_roles
from edge.capture.images import load_image
from edge.decode.segmentation import SegmentationHead
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.judge.agreement import Agreement
    from converter.judge.sight import Look, Seen
    from edge.model.model_file import ModelFile
    from edge.model.spec import ModelSpec
    from edge.terminal.progress import Progress


# Of the images on which raw heads are compared: they settle with few, and are run once more for it.
HEAD_IMAGES = 16


@dataclass(frozen=True, slots=True)
class Reference:
    """A model on a set of images, and how far it is from itself when they move.

    Attributes:
        file: The model.
        paths: Of the images.
        seen: What it sees on each.
        shifted: Its agreement with itself, the images moved by a quarter of a pixel of the input:
            one for each diagonal, or fewer.
    """

    file: ModelFile
    paths: tuple[Path, ...]
    seen: tuple[Seen, ...]
    shifted: tuple[Agreement, ...]

    @property
    def sure(self) -> float:
        """The score from which a detection counts."""
        return self.file.description.score_threshold

    def floor(self, chosen: NDArray[np.int64]) -> float:
        """Return how far it is from itself on the chosen images, the mean over the diagonals."""
        return float(np.mean([agreement.distance(chosen) for agreement in self.shifted]))


def observe(
    file: ModelFile,
    paths: Sequence[Path],
    *,
    moves: int = len(DIAGONALS),
    progress: Progress | None = None,
) -> Reference:
    """Run a model on the images as they are and moved: what others are then compared with.

    Args:
        file: The model.
        paths: Of the images.
        moves: Along how many diagonals each image is moved; of fewer than all, the next image
            begins with the next one.
        progress: Called with (images run, images to run).

    Raises:
        ModelError: It cannot be run.
        SourceError: An image cannot be read.
    """
    sight = Sight(file)
    seen, moved = [], []
    for done, path in enumerate(paths, start=1):
        image = load_image(path)
        seen.append(sight.look(image).seen)
        first = done % len(DIAGONALS)
        moved.append(sight.look_shifted(image, (DIAGONALS[first:] + DIAGONALS)[:moves]))
        if progress:
            progress(done, len(paths))
    sure = file.description.score_threshold
    shifted = tuple(match(seen, column, sure=sure) for column in zip(*moved, strict=True))
    return Reference(file, tuple(paths), tuple(seen), shifted)


def compare(
    reference: Reference,
    candidates: Sequence[ModelFile],
    *,
    seed: int = 0,
    resamples: int = 0,
    progress: Progress | None = None,
) -> list[Bill]:
    """Run models made of one on the images of that one; return the bill of each, without labels.

    Args:
        reference: Of `observe`.
        candidates: Made of it.
        seed: Of the draws.
        resamples: Draws of images to tell how sure the distances are; 0 where nobody asks.
        progress: Called with (images run, images to run).

    Raises:
        ModelError: The models have different heads.
        SourceError: An image cannot be read.
    """
    first = Sight(reference.file)
    comparisons = [_Comparison(first.spec, Sight(other)) for other in candidates]
    for done, path in enumerate(reference.paths, start=1):
        image = load_image(path)
        wanted = first.look(image) if done <= HEAD_IMAGES else None
        for comparison in comparisons:
            comparison.add(image, wanted)
        if progress:
            progress(done, len(reference.paths))
    sure = reference.sure
    found = [match(reference.seen, one.seen, sure=sure) for one in comparisons]
    likes = _likenesses(reference, found, seed=seed, resamples=resamples)
    return [
        Bill(
            head=reference.file.description.head.kind,
            reference_bytes=len(reference.file.flatbuffer),
            candidate_bytes=len(other.flatbuffer),
            heads=tuple(comparison.head_rows()),
            images=agreement.rows(reference.paths),
            likeness=like,
        )
        for other, comparison, agreement, like in zip(
            candidates, comparisons, found, likes, strict=True
        )
    ]


def _likenesses(
    reference: Reference, found: Sequence[Agreement], *, seed: int, resamples: int
) -> list[Likeness]:
    """Return each model's distance beside the floor, all on the same draws of images."""
    count = len(reference.paths)
    random = np.random.default_rng(seed)
    every = np.arange(count)
    choices = [every, *(np.sort(random.integers(0, count, count)) for _ in range(resamples))]
    floors = [reference.floor(chosen) for chosen in choices]
    likes = []
    for agreement in found:
        rows = [(agreement.distance(c), f) for c, f in zip(choices, floors, strict=True)]
        # A draw may show nothing that the reference knows.
        draws = np.array([row for row in rows[1:] if not np.isnan(row).any()]).reshape(-1, 2)
        likes.append(Likeness(*rows[0], agreement.objects, draws))
    return likes


class _Comparison:
    """One model's differences from the reference, summed over images."""

    def __init__(self, reference: ModelSpec, candidate: Sight) -> None:
        self._candidate = candidate
        self._sums = {
            role: _Sums(floor=_floor(role, candidate.spec))
            for role in _shared_roles(reference, candidate.spec)
        }
        self.seen: list[Seen] = []

    def add(self, image: NDArray[np.uint8], wanted: Look | None) -> None:
        found = self._candidate.look(image)
        if wanted is not None:
            for role, total in self._sums.items():
                total.add(wanted.heads[role], found.heads[role])
        self.seen.append(found.seen)

    def head_rows(self) -> Iterator[HeadRow]:
        return (total.row(role) for role, total in self._sums.items())


class _Sums:
    """Running sums of one output over images.

    Args:
        floor: Values below it count as it.
    """

    def __init__(self, *, floor: float) -> None:
        self._floor = floor
        self._reference = self._candidate = self._product = self._noise = self._max = 0.0

    def add(self, reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> None:
        """Add one image's head, both dequantised."""
        a = np.maximum(reference, self._floor).astype(np.float64)
        b = candidate.astype(np.float64)
        self._reference += float((a * a).sum())
        self._candidate += float((b * b).sum())
        self._product += float((a * b).sum())
        self._noise += float(((a - b) ** 2).sum())
        self._max = max(self._max, float(np.abs(a - b).max(initial=0.0)))

    def row(self, role: str) -> HeadRow:
        """Return the figures."""
        norm = math.sqrt(self._reference * self._candidate)
        cosine = self._product / norm if norm else 1.0
        is_noisy = self._noise and self._reference
        snr = 10 * math.log10(self._reference / self._noise) if is_noisy else math.inf
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


def _floor(role: str, candidate: ModelSpec) -> float:
    """Return the least raw score that the candidate's head can say; other outputs have no floor.

    A recipe saturates raw scores on purpose where no threshold will ever tell them apart.
    """
    spec = candidate.outputs[role]
    if role not in score_roles(candidate.description.head) or spec.dtype.kind == "f":
        return -math.inf
    return (int(np.iinfo(spec.dtype).min) - spec.quant.zero_point) * spec.quant.scale
