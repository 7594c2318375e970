"""What is asked of a net, and the draft of a model that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from converter.draft import Draft
from edge.errors import ConfigError
from edge.model.description import InputTransform

if TYPE_CHECKING:
    from pathlib import Path

    from converter.graph.values import Graph
    from edge.model.description import HeadSchema


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a net.

    Attributes:
        labels: Text of each class id.
        size_wh: Of the input, pixels.
        width: Factor of its channels.
        seed: Of its weights.
        anchors_wh: Width and height by rising area, shares of the input; `None` for the paper's.
        backbone: A float SSDLite-MobileNetV2 of ours whose body it starts with; `None` is the
            shipped model's.
        half: Mean and deviation of the input's pixel values.
    """

    labels: tuple[str, ...]
    size_wh: tuple[int, int]
    width: float = 1.0
    seed: int = 0
    anchors_wh: tuple[tuple[float, float], ...] | None = None
    backbone: Path | None = None
    half: tuple[float, float] = (0.0, 255.0)

    def check_sides(self, step: int) -> None:
        """Refuse an input whose sides a net cannot halve down to whole cells and double again.

        Raises:
            ConfigError: They are no multiples of the step.
        """
        if any(side % step for side in self.size_wh):
            raise ConfigError(
                f"expected input sides that are multiples of {step}, found "
                f"{'x'.join(map(str, self.size_wh))}; choose others with --input"
            )

    def draft(self, graph: Graph, head: HeadSchema, **anchors: Any) -> Draft:  # noqa: ANN401
        """Return a net with all that its manifest says."""
        mean, std = ((value,) * 3 for value in self.half)
        transform = InputTransform(
            size_wh=self.size_wh, color="rgb", mean=mean, std=std, resize="stretch"
        )
        return Draft(
            graph, head, transform=transform, labels=self.labels, changes="built here", **anchors
        )

    def shared_out(self, grids: int) -> list[list[tuple[float, float]]] | None:
        """Return the anchors (height, width) of each grid, the small ones in the fine grids."""
        if self.anchors_wh is None:
            return None
        pairs = [(height, width) for width, height in self.anchors_wh]
        ends = [len(pairs) * number // grids for number in range(grids + 1)]
        return [pairs[a:b] or pairs[b - 1 :][:1] for a, b in pairwise(ends)]
