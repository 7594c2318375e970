"""The message of a frame that a classifier saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from msgspec import Meta

from edge.messages.envelope import SCORE_DECIMALS, ClassId, Envelope, Label, Timing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.messages.envelope import Fields
    from edge.results.classes import Classes

TOPIC = "classes"


class ClassPayload(TypedDict):
    """One class of the frame."""

    label: Label
    class_id: ClassId
    score: Annotated[float, Meta(ge=0, le=1, description="Four decimals.")]


class ClassesPayload(Envelope, Timing):
    """What one camera of one device saw on one frame, with a classifier."""

    classes: Annotated[
        list[ClassPayload],
        Meta(description="The best classes from the threshold on, by falling score."),
    ]


def fields(labels: Sequence[str]) -> Fields:
    """Return what makes the part of a message that tells of classes."""

    def of_frame(seen: Classes, _size_wh: tuple[int, int]) -> dict[str, Any]:
        scores = seen.scores.astype(float).round(SCORE_DECIMALS).tolist()
        found: list[ClassPayload] = [
            {"label": labels[class_id], "class_id": class_id, "score": score}
            for class_id, score in zip(seen.class_ids.tolist(), scores, strict=True)
        ]
        return {"classes": found}

    return of_frame


def describe(payload: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the label and a few words for each class of a message."""
    return [(each["label"], f"{each['label']} {each['score']:.2f}") for each in payload["classes"]]
