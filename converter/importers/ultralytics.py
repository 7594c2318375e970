"""What the exporters of Ultralytics and of the YOLOv5 repository write beside a graph.

A dict of `names`, `stride`, `task` …: as properties of an ONNX file, and in `metadata.json` or, as
Python spells it, in a text file packed behind a `.tflite`.
Source: `engine/exporter.py` of Ultralytics; `export.py` of YOLOv5.
"""

from __future__ import annotations

import ast
import contextlib
import json
from typing import TYPE_CHECKING, Any

from edge.model.description import InputTransform

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = {"stride", "names"}


def literal(text: str) -> Any:  # noqa: ANN401 - whatever stands there
    """Return a JSON or Python literal; `None` for other text."""
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return read(text)
    return None


def labels_of(metadata: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the labels: `names` is a dict of numbers and names, a list, or one of them as text."""
    names = metadata.get("names")
    if isinstance(names, str):
        names = literal(names)
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        return None
    try:
        numbered = {int(number): str(name) for number, name in names.items()}
    except (TypeError, ValueError):
        return None
    if sorted(numbered) != list(range(len(numbered))):
        return None
    return tuple(numbered[number] for number in range(len(numbered)))


def transform_of(metadata: Mapping[str, Any], size_wh: tuple[int, int]) -> InputTransform | None:
    """Return the preprocessing that both train with: RGB over 255, letterboxed with 114."""
    if not metadata.keys() >= KEYS:
        return None
    return InputTransform(
        size_wh=size_wh, color="rgb", mean=(0, 0, 0), std=(255, 255, 255), resize="letterbox"
    )
