"""The stage `filter`: what the masks hide, and what is no object by the filters of its label."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from edge.stages.areas import Areas, shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.config.sections import Config
    from edge.config.zone import Filter, Mask
    from edge.results.detections import Detections
    from edge.results.observation import Observation

    Flags = NDArray[np.bool_]


class Filtering:
    """Leaves out detections before anything else sees them.

    Where objects are tracked, a score that is too low for its label does not end the detection: it
    goes on as one that was seen badly (`Tracker`).

    Args:
        config: Its masks and filters.
        labels: Of the model.
    """

    name = "filter"

    def __init__(self, config: Config, labels: Sequence[str]) -> None:
        self._config = config
        self._labels = labels
        self._cameras: dict[str, _Sieve] = {}

    def process(self, observation: Observation) -> Observation:
        """Return the observation without them."""
        found = cast("Detections", observation.result)
        sieve = self._cameras.get(observation.camera)
        if sieve is None:
            sieve = _Sieve(self._config, observation.camera, self._labels)
            self._cameras[observation.camera] = sieve
        kept = sieve.keeps(found, observation.size_wh)
        return observation if kept.all() else replace(observation, result=found[kept])


class _Sieve:
    """The masks and filters of one camera."""

    def __init__(self, config: Config, camera: str, labels: Sequence[str]) -> None:
        self._masks = [each for each in config.masks if each.camera in (None, camera)]
        self._filters = [each for each in config.filters if each.camera in (None, camera)]
        self._areas = Areas(self._masks)
        self._hides = _labelled(self._masks, labels)  # (M, C)
        self._filters_label = _labelled(self._filters, labels)  # (F, C)
        self._scores = None if config.follows else least_scores(config, camera, labels)

    def keeps(self, found: Detections, size_wh: tuple[int, int]) -> Flags:
        """Return which detections stay, `(N,)`."""
        boxes, class_ids = shares(found, size_wh), found.class_ids
        kept: Flags = np.ones(len(found), np.bool_)
        if self._masks:
            hidden = np.empty((len(self._masks), len(found)), np.bool_)
            self._areas.holds(boxes, out=hidden)
            kept &= ~(hidden & self._hides[:, class_ids]).any(axis=0)
        width, height = boxes[1] - boxes[0]
        for each, is_of in zip(self._filters, self._filters_label[:, class_ids], strict=True):
            area = width * height
            kept &= ~is_of | ((area >= each.min_area_ratio) & (area <= each.max_area_ratio))
        if self._scores is not None:
            kept &= found.scores >= self._scores[class_ids]
        return kept


def least_scores(config: Config, camera: str, labels: Sequence[str]) -> NDArray[np.float32]:
    """Return the least score that the filters of a camera ask of each class, `(C,)`."""
    least = np.zeros(len(labels), np.float32)
    for each in config.filters:
        if each.camera in (None, camera):
            is_of = _labelled([each], labels)[0]
            least[is_of] = np.maximum(least[is_of], each.min_score)
    return least


def _labelled(places: Sequence[Mask | Filter], labels: Sequence[str]) -> Flags:
    """Return which labels each is about, `(M, C)`."""
    rows = [[not each.labels or label in each.labels for label in labels] for each in places]
    return np.array(rows, np.bool_).reshape(len(places), len(labels))
