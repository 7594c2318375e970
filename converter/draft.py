"""What an importer found in a foreign model: its graph, and what the file said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from converter.choice import InputChoice
    from converter.graph.values import Graph
    from edge.model.description import HeadSchema, InputTransform


GREY, COLOURS, MULTISPECTRAL = 1, 3, 4


def check_channels(channels: int, path: Path) -> None:
    """Refuse a model whose images the runtime can't make.

    Raises:
        ModelError: They are neither grey nor of three colours.
    """
    if channels in (GREY, COLOURS):
        return
    missing = "the last (near infrared, alpha)" if channels == MULTISPECTRAL else "them"
    raise ModelError(
        f"{path}: expected a model of images with 1 or 3 channels, found {channels}, of which no "
        f"source gives {missing}; train it on R G B or on grey, channels last"
    )


@dataclass(frozen=True, slots=True)
class Draft:
    """A float model and as much of its manifest as the foreign file holds.

    What is `None` the file does not say; the person who converts is asked for it, by name.

    Attributes:
        graph: Float, with one input `(1, H, W, C)` and outputs named by their roles.
        head: What the outputs mean.
        anchors: `(A, 4)` float32, normalised centre-size (cy, cx, h, w), for an SSD head.
        transform: How a frame becomes the input, whole or as far as the file says.
        labels: One a class id.
        changes: What the importer cut, merged or left out; a clause for the manifest.
        warnings: Sentences for the person who converts.
        sources: Role to the tensor of the whole graph whose values it has, and the channels of it
            that it is; `None` takes all.
    """

    graph: Graph
    head: HeadSchema
    anchors: NDArray[np.float32] | None = None
    transform: InputTransform | InputChoice | None = None
    labels: tuple[str, ...] | None = None
    changes: str = "cut at the raw heads; decode and suppression left to the runtime"
    warnings: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, NDArray[np.intp] | None]] = field(default_factory=dict)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Of the input, pixels."""
        _, height, width, _ = self.graph.shape(self.graph.inputs[0])
        return width, height
