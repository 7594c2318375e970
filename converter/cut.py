"""Where to cut a float graph, and what the runtime must know of what was cut off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from converter.draft import Draft
from converter.lowering import Lowered, lower

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from converter.choice import InputChoice
    from converter.graphdef import Graph
    from edge.model.description import HeadSchema, InputTransform

CHANGES = "cut at the raw heads; resize, decode and suppression left to the runtime"


@dataclass(frozen=True, slots=True)
class Cut:
    """Where to cut a graph.

    Attributes:
        feed: Node whose output becomes the model's input.
        fetches: Output role to the node that makes it.
        size_wh: Of the input, pixels.
        head: What the outputs mean.
        transform: How a frame becomes the feed, whole or as far as the graph says.
        anchors: `(A, 4)` float32, normalised centre-size (cy, cx, h, w), for an SSD.
        changes: What is cut off; a clause for the manifest.
        warnings: Sentences for the person who converts.
    """

    feed: str
    fetches: dict[str, str]
    size_wh: tuple[int, int]
    head: HeadSchema
    transform: InputTransform | InputChoice | None = None
    anchors: NDArray[np.float32] | None = None
    changes: str = CHANGES
    warnings: tuple[str, ...] = field(default=())


def lower_cut(graph: Graph, cut: Cut, *, inputs: NDArray[np.float32] | None = None) -> Lowered:
    """Lower what lies between the cuts; `inputs` `(N, H, W, 3)` are run through the original."""
    width, height = cut.size_wh
    shape = (1, height, width, 3)
    return lower(graph, feed=cut.feed, fetches=cut.fetches, shape=shape, inputs=inputs)


def draft_of(graph: Graph, cut: Cut) -> Draft:
    """Lower what lies between the cuts, and hand on what is known of it."""
    lowered = lower_cut(graph, cut)
    return Draft(
        flatbuffer=lowered.flatbuffer,
        size_wh=cut.size_wh,
        head=cut.head,
        outputs={role: role for role in cut.fetches},
        anchors=cut.anchors,
        transform=cut.transform,
        changes=lowered.describe(cut.changes),
        warnings=cut.warnings,
    )
