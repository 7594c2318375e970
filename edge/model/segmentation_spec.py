"""What the output of a segmentation head must look like, checked when a model is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import ModelError

if TYPE_CHECKING:
    from edge.model.heads import SegmentationHead
    from edge.model.manifest import ModelFile
    from edge.model.spec import TensorSpec

ROLE = "classes"
MAX_CLASSES = 256  # a class map is uint8
BINARY_CLASSES = 2
MAP_AXES, SCORE_AXES = 3, 4  # (1, H, W) and (1, H, W, C)


def check(file: ModelFile, head: SegmentationHead, roles: dict[str, TensorSpec]) -> None:
    """Match a segmentation head with the model's outputs and labels.

    Raises:
        ModelError: They disagree; the message names both sides.
    """
    if roles.keys() != {ROLE}:
        raise ModelError(
            f"{file.path}: a segmentation head has the output role {ROLE}, the manifest names "
            f"{', '.join(sorted(roles)) or 'none'}; convert the model again"
        )
    spec = roles[ROLE]
    if not _fits(head, spec):
        raise ModelError(
            f"{file.path}: output {ROLE} is {spec.shape} {spec.dtype}, but a segmentation head "
            f"with activation {head.activation} needs {_needed(head)}; convert the model again"
        )
    labels = len(file.manifest.labels)
    classes = labels if head.activation == "argmax" else class_count(spec.shape)
    if labels != classes or not BINARY_CLASSES <= labels <= MAX_CLASSES:
        expected = f"{BINARY_CLASSES} to {MAX_CLASSES}" if labels == classes else str(classes)
        raise ModelError(
            f"{file.path}: the manifest has {labels} labels, but output {ROLE} {spec.shape} needs "
            f"{expected}; fix the labels and convert the model again"
        )
    if head.background is not None and not 0 <= head.background < labels:
        raise ModelError(
            f"{file.path}: the head's background is class {head.background}, but there are labels "
            f"0 to {labels - 1}; convert the model again"
        )


def class_count(shape: tuple[int, ...]) -> int:
    """Return how many classes an output of scores tells apart; one channel tells two."""
    return max(BINARY_CLASSES, shape[-1])


def _fits(head: SegmentationHead, spec: TensorSpec) -> bool:
    axes = len(spec.shape)
    if axes not in (MAP_AXES, SCORE_AXES) or spec.shape[0] != 1 or min(spec.shape) < 1:
        return False
    channels = spec.shape[-1]
    if head.activation == "argmax":
        return spec.dtype.kind in "iu" and (axes == MAP_AXES or channels == 1)
    if axes != SCORE_AXES or spec.dtype.kind not in "iuf":
        return False
    if head.activation == "sigmoid":
        return channels == 1
    return head.activation == "none" or channels >= BINARY_CLASSES


def _needed(head: SegmentationHead) -> str:
    return {
        "argmax": "integers (1, H, W) or (1, H, W, 1)",
        "sigmoid": "(1, H, W, 1)",
        "softmax": "(1, H, W, C) with C >= 2",
        "none": "(1, H, W, C)",
    }[head.activation]
