"""Compare models with the one that they were made of, by what all of them see."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from converter.judge.agreement import match
from converter.judge.bill import Bill, HeadRow, Likeness
from converter.quantize.scores import score_roles
from edge.decode.segmentation import SegmentationHead
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from converter.judge.agreement import Agreement
    from converter.judge.sight import Views
    from edge.model.spec import ModelSpec


def compare(
    reference: Views, candidates: Sequence[Views], *, seed: int = 0, resamples: int = 0
) -> list[Bill]:
    """Return the bill of each model against the one that it was made of, without labels.

    Args:
        reference: On some images, and where the noise floor is wanted on the same ones moved.
        candidates: Made of it, on the same images.
        seed: Of the draws.
        resamples: Draws of images to tell how sure the distances are; 0 where nobody asks.

    Raises:
        ModelError: The models have different heads.
    """
    sure = reference.file.description.score_threshold
    heads = [_head_rows(reference, other) for other in candidates]
    task = reference.task
    found = [match(reference.seen, other.seen, task=task, sure=sure) for other in candidates]
    likes = _likenesses(reference.shifted, found, len(reference.paths), seed=seed, draws=resamples)
    return [
        Bill(
            head=reference.file.description.head.kind,
            reference_bytes=len(reference.file.flatbuffer),
            candidate_bytes=len(other.file.flatbuffer),
            heads=rows,
            images=agreement.rows(reference.paths),
            likeness=like,
            figures=agreement.figures,
        )
        for other, rows, agreement, like in zip(candidates, heads, found, likes, strict=True)
    ]


def _likenesses(
    shifted: Sequence[Agreement], found: Sequence[Agreement], count: int, *, seed: int, draws: int
) -> list[Likeness]:
    """Return each model's distance beside the floor, all on the same draws of images."""
    random = np.random.default_rng(seed)
    every = np.arange(count)
    choices = [every, *(np.sort(random.integers(0, count, count)) for _ in range(draws))]
    floors = [
        float(np.mean([one.distance(chosen) for one in shifted])) if shifted else math.nan
        for chosen in choices
    ]
    likes = []
    for agreement in found:
        rows = [(agreement.distance(c), f) for c, f in zip(choices, floors, strict=True)]
        # A draw may show nothing that the reference knows.
        known = np.array([row for row in rows[1:] if not math.isnan(row[0])]).reshape(-1, 2)
        likes.append(Likeness(*rows[0], agreement.objects, known))
    return likes


def _head_rows(reference: Views, candidate: Views) -> tuple[HeadRow, ...]:
    return tuple(
        head_row(
            role,
            ((a[role], b[role]) for a, b in zip(reference.heads, candidate.heads, strict=True)),
            floor=_floor(role, candidate.spec),
        )
        for role in _shared_roles(reference.spec, candidate.spec)
    )


def head_row(
    role: str,
    pairs: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]],
    *,
    floor: float = -math.inf,
) -> HeadRow:
    """Return how one output differs over images.

    Args:
        role: Of the output.
        pairs: Of each image the reference's values and the other's, real numbers.
        floor: The reference's values below it count as it.
    """
    sums, errors = np.zeros(4), [0.0]
    for reference, candidate in pairs:
        a, b = np.maximum(reference, floor).astype(np.float64), candidate.astype(np.float64)
        with np.errstate(invalid="ignore"):  # of infinite values
            sums += [(a * a).sum(), (b * b).sum(), (a * b).sum(), ((a - b) ** 2).sum()]
        errors.append(np.abs(a - b).max(initial=0.0))
    power, other, product, noise = sums.tolist()
    norm = math.sqrt(power * other)
    with np.errstate(divide="ignore"):
        snr = 10 * float(np.log10(power / noise)) if noise and power else math.inf
    return HeadRow(role, product / norm if norm else 1.0, snr, float(np.max(errors)))


def _shared_roles(first: ModelSpec, second: ModelSpec) -> list[str]:
    """Return the roles whose values can be compared: class ids have no near and far.

    Those of models with inputs of unlike size belong to other places.
    """
    shapes = [
        {role: spec.shape for role, spec in outputs.items()}
        for outputs in (first.outputs, second.outputs)
    ]
    is_resized = first.description.input.size_wh != second.description.input.size_wh
    if is_resized and shapes[0].keys() == shapes[1].keys():
        return []
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
