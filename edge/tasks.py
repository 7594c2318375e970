"""What models are for: how their results are told, counted and drawn. A new task is a row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from edge.config.zone import unknown_labels
from edge.decode.keypoints import KeypointsHead
from edge.decode.segmentation import SegmentationHead, has_threshold
from edge.errors import ConfigError
from edge.heads import task_of
from edge.messages import anomaly, classes, detections, instances, poses, segmentation
from edge.messages.envelope import Encoder, ModelPayload
from edge.results.anomaly import AnomalyTally
from edge.results.class_map import AreaTally
from edge.results.classes import ClassTally
from edge.results.detections import DetectionTally

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import numpy as np
    from numpy.typing import NDArray

    from edge.config.sections import Config
    from edge.messages.envelope import Fields
    from edge.model.description import Description
    from edge.results.observation import Result


# What of `[model]` may change while frames run, and what it is in `Thresholds`; boxes have it all.
THRESHOLDS = {
    "score_threshold": "score",
    "iou_threshold": "iou",
    "max_detections": "max_detections",
    "max_candidates": "max_candidates",
    "suppression": "suppression",
}


class Tally(Protocol):
    """Counts what a run saw."""

    def add(self, result: Any) -> None:  # noqa: ANN401 - of the task's kind
        """Count one frame's result."""

    def text(self) -> str:
        """Return the counts in a few words."""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that models are for.

    Attributes:
        topic: Last level of the topic of its messages.
        fields: Makes what tells of a result in a message; the keyword `class_map` says whether a
            message may hold what grows with the model's output.
        payload: The typed dict that a message is.
        describe: Of a message, the label and a few words for each thing that was seen.
        tally: Makes what counts the results of a run.
        draw: Function of `edge.draw.results` that draws a result on its image.
        thresholds: Which keys of `[model]` have a meaning for such a model.
        has_boxes: Its results are detections, which can be tracked.
    """

    topic: str
    fields: Callable[..., Fields]  # (description, *, class_map)
    payload: Any
    describe: Callable[[dict[str, Any]], list[tuple[str, str]]]
    tally: Callable[[Description], Tally]
    draw: str
    thresholds: Callable[[Description], set[str]]
    has_boxes: bool = False

    def encoder(self, device: str, description: Description, *, class_map: bool = True) -> Encoder:
        """Return what turns observations into messages."""
        model: ModelPayload = {"name": description.name, "digest": description.digest}
        return Encoder(device, model, self.topic, self.fields(description, class_map=class_map))

    def draw_inplace(
        self, image: NDArray[np.uint8], result: Result, description: Description
    ) -> None:
        """Draw what was seen on `(H, W, 3)` uint8, B G R."""
        from edge.draw import results  # noqa: PLC0415 - most runs draw nothing

        getattr(results, self.draw)(image, result, description)


def _background(described: Description) -> int | None:
    return described.head_as(SegmentationHead).background


TASKS = {
    "detection": Task(
        topic=detections.TOPIC,
        fields=lambda described, **_: detections.fields(described.labels),
        payload=detections.DetectionsPayload,
        describe=detections.describe,
        tally=lambda _: DetectionTally(),
        draw="draw_boxes_inplace",
        thresholds=lambda _: set(THRESHOLDS),
        has_boxes=True,
    ),
    "instances": Task(
        topic=instances.TOPIC,
        fields=lambda described, class_map: instances.fields(described.labels, class_map=class_map),
        payload=instances.InstancesPayload,
        describe=partial(detections.describe, key=instances.TOPIC),
        tally=lambda _: DetectionTally("instances"),
        draw="draw_instances_inplace",
        thresholds=lambda _: set(THRESHOLDS),
        has_boxes=True,
    ),
    "pose": Task(
        topic=poses.TOPIC,
        fields=lambda described, **_: poses.fields(
            described.labels, described.head_as(KeypointsHead).names
        ),
        payload=poses.PosesPayload,
        describe=partial(detections.describe, key=poses.TOPIC),
        tally=lambda _: DetectionTally("poses"),
        draw="draw_poses_inplace",
        thresholds=lambda _: set(THRESHOLDS),
        has_boxes=True,
    ),
    "segmentation": Task(
        topic=segmentation.TOPIC,
        fields=lambda described, class_map: segmentation.fields(
            described.labels, background=_background(described), class_map=class_map
        ),
        payload=segmentation.SegmentationPayload,
        describe=segmentation.describe,
        tally=lambda described: AreaTally(described.labels, background=_background(described)),
        draw="draw_class_map_inplace",
        thresholds=lambda described: {"score_threshold"} if has_threshold(described) else set(),
    ),
    "classification": Task(
        topic=classes.TOPIC,
        fields=lambda described, **_: classes.fields(described.labels),
        payload=classes.ClassesPayload,
        describe=classes.describe,
        tally=lambda described: ClassTally(described.labels),
        draw="draw_classes_inplace",
        thresholds=lambda _: {"score_threshold"},
    ),
    "anomaly": Task(
        topic=anomaly.TOPIC,
        fields=lambda *_, **__: anomaly.fields,
        payload=anomaly.AnomalyPayload,
        describe=anomaly.describe,
        tally=lambda _: AnomalyTally(),
        draw="draw_anomaly_inplace",
        thresholds=lambda _: set(),
    ),
}


def task_for(description: Description) -> Task:
    """Return what a model is for."""
    return TASKS[task_of(description.head)]


def describe(topic: str, payload: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the label and a few words for each thing that a message from a topic tells of."""
    level = topic.rpartition("/")[2]
    task = next(task for task in TASKS.values() if task.topic == level)
    return task.describe(payload)


def refuse_thresholds(description: Description, given: Collection[str]) -> None:
    """Refuse a key of `[model]` that a person wrote and that would change nothing.

    Raises:
        ConfigError: One of them has no meaning for the model's task.
    """
    known = task_for(description).thresholds(description)
    for key in sorted(set(given) - known):
        raise ConfigError(
            f"[model] {key} has no meaning for {description.name}, a model for "
            f"{task_of(description.head)}, which has {' and '.join(sorted(known)) or 'none'}; "
            "leave it out"
        )


def refuse_tracking(description: Description, config: Config) -> None:
    """Refuse `[tracking]`, zones and the like of a model whose results are no boxes.

    Raises:
        ConfigError: They are none; or a label is named that the model does not have.
    """
    tables = config.about_boxes()
    if tables and not task_for(description).has_boxes:
        able = " and ".join(sorted(name for name, task in TASKS.items() if task.has_boxes))
        raise ConfigError(
            f"{' and '.join(tables)} follows the boxes of models for {able}, and "
            f"{description.name} is a model for {task_of(description.head)}; leave the section out"
        )
    if faults := unknown_labels(tables, description.labels):
        raise ConfigError("\n".join(faults))


def refuse_regions(description: Description) -> None:
    """Refuse `[regions]` of a model of which several results of a frame don't make one.

    Raises:
        ConfigError: It is no detector.
    """
    task = task_of(description.head)
    if task != "detection":
        raise ConfigError(
            f"[regions] merges the boxes of models for detection, and {description.name} is a "
            f"model for {task}; leave the section out"
        )
