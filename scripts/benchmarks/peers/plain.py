"""A detector's stages as tutorials write them: float pixels, float scores, NumPy suppression."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    Array = np.ndarray[Any, Any]


class Plain:
    """What surrounds the invoke of one SSD model.

    Args:
        folder: Has `contract.json` and `anchors.npy`.
    """

    def __init__(self, folder: Path) -> None:
        contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
        self.label_texts: list[str] = contract["labels"]
        self.score_threshold: float = contract["score_threshold"]
        self.iou_threshold: float = contract["iou_threshold"]
        self._size_wh = tuple(contract["size_wh"])
        self._mean, self._std = contract["mean"], contract["std"]
        self._box_scales = np.array(contract["box_scales"], np.float32)
        self._anchors = np.load(folder / "anchors.npy")  # (A, 4) cy, cx, h, w

    def resized(self, image: Array) -> Array:
        """Return a B G R image as `(h, w, 3)` uint8, R G B."""
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return cv2.resize(rgb, self._size_wh)

    def pixels(self, image: Array) -> Array:
        """Return a B G R image as `(1, h, w, 3)` float32, normalised."""
        normalised = (self.resized(image).astype(np.float32) - self._mean) / self._std
        return normalised.astype(np.float32)[None]

    def detections(self, offsets: Array, logits: Array) -> tuple[Array, Array, Array]:
        """Decode raw heads and suppress class by class.

        Args:
            offsets: `(A, 4)` float32.
            logits: `(A, C)` float32, background first.

        Returns:
            Boxes `(n, 4)` xyxy in [0, 1], scores `(n,)`, class ids `(n,)`.
        """
        boxes, scores, class_ids = self.candidates(offsets, logits)
        kept = [
            row
            for class_id in np.unique(class_ids)
            for row in self._suppress(boxes, scores, np.flatnonzero(class_ids == class_id))
        ]
        return boxes[kept], scores[kept], class_ids[kept]

    def candidates(self, offsets: Array, logits: Array) -> tuple[Array, Array, Array]:
        """Return the best class of each anchor that reaches the threshold; see `detections`."""
        all_scores = 1 / (1 + np.exp(-logits[:, 1:]))
        class_ids = all_scores.argmax(axis=1)
        scores = all_scores.max(axis=1)
        rows = scores >= self.score_threshold
        anchors, offsets = self._anchors[rows], offsets[rows] / self._box_scales
        centers = offsets[:, :2] * anchors[:, 2:] + anchors[:, :2]
        halves = np.exp(offsets[:, 2:]) * anchors[:, 2:] / 2
        boxes = np.concatenate([centers - halves, centers + halves], axis=1)[:, [1, 0, 3, 2]]
        return boxes, scores[rows], class_ids[rows]

    def _suppress(self, boxes: Array, scores: Array, rows: Array) -> list[int]:
        rows = rows[scores[rows].argsort()[::-1]]
        kept = []
        while len(rows):
            best, rest = rows[0], rows[1:]
            kept.append(int(best))
            rows = rest[_iou(boxes[best], boxes[rest]) <= self.iou_threshold]
        return kept

    def labels_of(self, class_ids: Array) -> list[str]:
        """Return the text of each class id."""
        return [self.label_texts[int(class_id)] for class_id in class_ids]


def _iou(box: Array, boxes: Array) -> Array:
    top_left = np.maximum(box[:2], boxes[:, :2])
    bottom_right = np.minimum(box[2:], boxes[:, 2:])
    overlap = np.prod(np.clip(bottom_right - top_left, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return overlap / (np.prod(box[2:] - box[:2]) + areas - overlap)
