"""The classes of a frame in its corner, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.draw.colors import class_color
from edge.draw.lettering import write_line_inplace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.model.description import Description
    from edge.results.classes import Classes


def draw_inplace(image: NDArray[np.uint8], seen: Classes, description: Description) -> None:
    """Write what a classifier saw on `(H, W, 3)` uint8, B G R: the best class first."""
    rows = zip(seen.class_ids.tolist(), seen.scores.tolist(), strict=True)
    for line, (class_id, score) in enumerate(rows):
        text = f"{description.labels[class_id]} {score:.2f}"
        write_line_inplace(image, text, color=class_color(class_id), line=line)
